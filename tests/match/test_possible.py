"""What is said to be in no message is in none: tried with all that the bundled protocols have as vectors."""

from __future__ import annotations

from typing import Any

import pytest

from iotsim.errors import DecodeError, ScenarioError
from iotsim.match import compile_match
from iotsim.match.possible import find_conflict
from iotsim.protocol.registry import list_protocols, load_protocol

NAMES = sorted(name for name, _ in list_protocols())


def present(message: Any, prefix: str = "") -> dict[str, Any]:
    """Conditions that a message satisfies: of each field that it has its value, or that it is there."""
    found: dict[str, Any] = {}
    for name, value in message.items():
        path = f"{prefix}{name}"
        if isinstance(value, dict):
            found |= present(value, f"{path}.")
        elif isinstance(value, (str, int)):
            found[path] = value
        elif value is not None:
            found[path] = {"exists": True}
    return found


@pytest.mark.parametrize("name", NAMES)
def test_no_message_of_a_vector_is_impossible(name: str) -> None:
    loaded = load_protocol(name, [])
    for vector in loaded.vectors:
        answer = vector.answer
        protocol = loaded.protocol
        schema = protocol.answer_schema if answer else protocol.schema
        codec = protocol.answer_codec if answer else protocol.codec
        try:
            message = codec.decode(vector.data, vector.device)
        except DecodeError:
            continue
        for field, value in present(message).items():
            for other, wanted in present(message).items():
                try:
                    matcher = compile_match({field: value, other: wanted}, schema)
                except ScenarioError:
                    continue  # a value that is written in another way
                assert find_conflict(matcher, schema) is None


def test_which_messages_have_the_field_is_told() -> None:
    schema = load_protocol("sensornet", []).protocol.schema
    matcher = compile_match({"kind": {"any": ["READ", "ACK"]}, "status.alarm": True}, schema)
    conflict = find_conflict(matcher, schema)
    assert conflict is not None
    assert str(conflict) == "no message whose kind is READ or ACK has 'status.alarm'"
    assert conflict.cases == ("REPORT", "READINGS")
