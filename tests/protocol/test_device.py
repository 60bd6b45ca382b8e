"""`this_device`: what a schema asks of a device, and what is known of schemas that ask."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from construct import (
    Array,
    Bytes,
    Computed,
    Construct,
    GreedyBytes,
    GreedyRange,
    Int8ub,
    LazyBound,
    Optional,
    Prefixed,
    Struct,
    Switch,
    Tunnel,
    this,
)

from iotsim import DecodeError, EncodeError, FlatStruct, this_device
from iotsim.protocol.codec import Codec
from iotsim.protocol.device import DeviceError, StandIn
from iotsim.protocol.mentions import needs_device
from iotsim.protocol.registry import is_bundled, list_protocols, load_protocol

DEVICE = StandIn(3, "meter[3]", "10.77.1.4", {"key": b"k", "table": {"a": [5, 6]}}, {"size": 2})


def value_of(expression: Any) -> Any:
    message: Any = Struct("x" / Int8ub, "y" / Computed(expression))
    return Codec(message).decode(b"\x01", DEVICE)["y"]


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        (this_device.index, 3),
        (this_device.name, "meter[3]"),
        (this_device.address, "10.77.1.4"),
        (this_device.state.key, b"k"),
        (this_device.data["size"], 2),
        (this_device.state.table.a[1], 6),
        (this_device.index + this.x, 4),
        (this.x + this_device.data.size * 10, 21),
        (lambda fields: fields._params.device.index, 3),
        (lambda fields: this_device.state.key(fields) * 2, b"kk"),
    ],
)
def test_what_a_schema_can_ask(expression: Any, value: Any) -> None:
    assert value_of(expression) == value


class Doubled(Tunnel):  # type: ignore[type-arg]
    def _decode(self, data: bytes, context: Any, path: str) -> bytes:
        return data[::2]

    def _encode(self, data: bytes, context: Any, path: str) -> bytes:
        return bytes(byte for byte in data for _ in range(2))


@pytest.mark.parametrize(
    "around",
    [
        lambda it: it,
        lambda it: Struct("a" / Struct("b" / it)),
        lambda it: Array(1, Struct("a" / it)),
        lambda it: GreedyRange(it),
        lambda it: FlatStruct(Struct("a" / it)),
        lambda it: Prefixed(Computed(2), Struct("a" / it)),
        lambda it: LazyBound(lambda: it),
        lambda it: Doubled(Struct("a" / it)),
    ],
)
def test_it_is_known_at_any_depth(around: Any) -> None:
    """Also where a field of the message is called as it is."""
    field = Bytes(this_device.data.size)
    codec = Codec(Struct("device" / Int8ub, "n" / Int8ub, "x" / around(field)), strict=False)
    assert codec.needs_device
    data = b"\x09\x08ab" if not isinstance(around(field), Doubled) else b"\x09\x08aabb"
    message = codec.decode(data, DEVICE)
    assert "b'ab'" in repr(message["x"])
    assert codec.encode(message, DEVICE) == data


@pytest.mark.parametrize("around", [lambda it: it, Optional, GreedyRange])
@pytest.mark.parametrize(
    ("device", "reason"),
    [
        (StandIn(name="meter[7]"), "meter[7] has no 'size' in its data"),
        (None, "the device is not known here, but the schema needs it"),
    ],
)
def test_what_the_device_lacks_is_an_error_wherever_it_is_asked_for(
    around: Any, device: Any, reason: str
) -> None:
    codec = Codec(Struct("x" / around(Bytes(this_device.data.size))), strict=False)
    with pytest.raises(DecodeError) as caught:
        codec.decode(b"abc", device)
    assert caught.value.reason == reason
    assert caught.value.path.startswith("x")
    assert isinstance(caught.value.__cause__, DeviceError)
    with pytest.raises(EncodeError) as refused:
        codec.encode({"x": [b"ab"] if around is GreedyRange else b"ab"}, device)
    assert refused.value.reason == reason


def test_what_no_device_has_is_told_where_it_is_written() -> None:
    with pytest.raises(AttributeError, match="index, name, address, state, data, but no 'dat'"):
        _ = this_device.dat
    assert repr(this_device.state["key"]) == "this_device.state.key"


def nested() -> Construct[Any, Any]:
    return Struct("more" / Optional(LazyBound(nested)))


def ask(context: Any) -> int:
    return int(context._params.device.index)


def ask_by_another(context: Any) -> int:
    return ask(context)


class Asking:
    def index(self, context: Any) -> int:
        return ask(context)


def ask_both(_: Any, context: Any) -> int:
    return ask(context)


@pytest.mark.parametrize(
    ("message", "needs"),
    [
        (Struct("a" / Bytes(this.n)), False),
        (Struct("device" / Int8ub, "a" / Bytes(this.device)), False),
        (Struct("a" / Bytes(lambda fields: fields.n)), False),
        (Struct("a" / LazyBound(nested)), False),
        (Struct("a" / Switch(this.n, {1: Bytes(this_device.index)})), True),
        (Struct("a" / Bytes(this.n + this_device.index)), True),
        (Struct("a" / Bytes(this._params.device.index)), True),
        (Struct("a" / Computed(ask)), True),
        (Struct("a" / Computed(ask_by_another)), True),
        (Struct("a" / Computed(lambda fields: [ask(f) for f in [fields]])), True),
        (Struct("a" / Computed(lambda fields: this_device.index(fields))), True),
        (Struct("a" / Computed(partial(ask_both, 1))), True),
        (Struct("a" / Computed(Asking().index)), True),
        (Struct("a" / LazyBound(lambda: Bytes(this_device.index))), True),
        (Struct("a" / GreedyBytes), False),
    ],
)
def test_whether_a_schema_asks_is_read_off_it(message: Any, needs: bool) -> None:
    assert needs_device(message) is needs
    codec = Codec(message)
    assert codec.needs_device is needs
    if needs:
        assert "(message)" in codec.fallbacks


def test_which_bundled_protocols_ask() -> None:
    names = [name for name, path in list_protocols() if path is not None and is_bundled(path)]
    asking = {name for name in names if load_protocol(name).protocol.codec.needs_device}
    assert asking == {"miio"}
