"""WiZ: what is no message, and what one has."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotsim import DecodeError
from iotsim.protocol.registry import load_protocol

LOADED = load_protocol("wiz")
PROTOCOL = LOADED.protocol
CODEC = PROTOCOL.codec


def test_the_vectors_are_what_json_of_python_reads_and_writes() -> None:
    for vector in LOADED.vectors:
        assert json.loads(vector.data) == vector.fields
        assert json.dumps(vector.fields, separators=(",", ":")).encode() == vector.data


def test_spaces_are_no_part_of_a_message() -> None:
    assert CODEC.decode(b' { "method" : "getPilot" }\n') == {"method": "getPilot"}


@pytest.mark.parametrize("data", [b"", b"test", b"{", b"{}x", b"[]", b"1", b"\xff", b"[" * 9000])
def test_what_is_no_message_is_a_parse_error(data: bytes) -> None:
    with pytest.raises(DecodeError) as caught:
        CODEC.decode(data)
    assert PROTOCOL.error_reply is not None
    fields = PROTOCOL.error_reply(caught.value, data)
    assert fields is not None
    assert CODEC.encode(fields) == LOADED.vectors[-1].data


def test_the_summary_shows_what_a_message_has() -> None:
    summaries = [PROTOCOL.summarize(vector.fields) for vector in LOADED.vectors]
    assert summaries[0] == "getPilot {}"
    assert summaries[3] == "setPilot {'success': True}"
    assert summaries[-1].strip() == "{'code': -32700, 'message': 'Parse error'}"


@given(st.dictionaries(st.text(), st.integers() | st.text() | st.lists(st.booleans())))
def test_any_object_is_a_message(message: dict[str, Any]) -> None:
    assert CODEC.decode(CODEC.encode(message)) == message
