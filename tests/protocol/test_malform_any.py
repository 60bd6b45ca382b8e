"""Malformed messages of every bundled protocol: whatever is wanted, there are bytes or an `EncodeError`."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iotsim.errors import DecodeError, EncodeError
from iotsim.protocol.anyvalue import WRONG
from iotsim.protocol.malform import Malformer, malformer
from iotsim.protocol.registry import list_protocols, load_protocol

NAMES = [name for name, _ in list_protocols() if name != "miio"]  # which needs a device
VALUES = st.one_of(
    st.just(WRONG),
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-(1 << 40), 1 << 40),
    st.floats(),
    st.text(max_size=5),
    st.binary(max_size=5),
    st.lists(st.integers(0, 300), max_size=3),
    st.dictionaries(st.text(max_size=2), st.integers(), max_size=2),
)


@cache
def known(name: str) -> tuple[Malformer, list[dict[str, Any]]]:
    loaded = load_protocol(name)
    protocol, messages = loaded.protocol, []
    for vector in loaded.vectors:
        if protocol.answer is None or vector.answer:
            try:
                messages.append(dict(protocol.answer_codec.tell(vector.fields)[1]))
            except (EncodeError, DecodeError):
                continue
    return malformer(protocol), messages


def paths(value: Any, prefix: str = "") -> list[str]:
    """The paths of all fields of a message, of structs and elements too."""
    found = [prefix] if prefix else []
    if isinstance(value, (dict, list)):
        items: Any = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in items:
            if isinstance(key, (str, int)) and "." not in str(key):
                found += paths(item, f"{prefix}.{key}" if prefix else str(key))
    return found


@pytest.mark.parametrize("name", NAMES)
def test_any_value_in_any_field_is_written_or_refused(name: str) -> None:
    malform, messages = known(name)
    assert messages

    @settings(max_examples=60, deadline=None)
    @given(st.data())
    def holds(data: st.DataObject) -> None:
        message = data.draw(st.sampled_from(messages))
        path = data.draw(st.sampled_from(paths(message)))
        value = data.draw(VALUES)
        try:
            built = malform.encode(message, {path: value})
        except EncodeError:
            pass
        else:
            assert isinstance(built, bytes)
        # Nothing of it stays.
        assert malform.encode(message, {}) == load_protocol(name).protocol.answer_codec.encode(
            message
        )

    holds()


SENSORNET = load_protocol("sensornet").protocol
FIELDS = st.fixed_dictionaries(
    {
        "device": st.integers(0, (1 << 32) - 1),
        "seq": st.integers(0, (1 << 16) - 1),
        "point": st.integers(0, 255),
        "value": st.floats(width=32, allow_nan=False),
    }
)


@given(FIELDS, FIELDS, st.sets(st.sampled_from(["device", "seq", "point", "value"]), min_size=1))
def test_what_a_field_can_carry_is_as_if_it_had_been_said(
    right: dict[str, Any], other: dict[str, Any], names: set[str]
) -> None:
    message = {"kind": "REPORT", "status": {}, **right}
    wanted = {name: other[name] for name in names}
    built = malformer(SENSORNET).encode(message, wanted)
    assert built == SENSORNET.codec.encode({**message, **wanted})


@given(FIELDS, st.integers(), st.integers())
def test_what_it_cannot_carry_is_cut_to_its_bits(
    right: dict[str, Any], device: int, seq: int
) -> None:
    message = {"kind": "REPORT", "status": {}, **right}
    built = malformer(SENSORNET).encode(message, {"device": device, "seq": seq})
    fields = SENSORNET.codec.decode(built)
    assert (fields["device"], fields["seq"]) == (device % (1 << 32), seq % (1 << 16))
