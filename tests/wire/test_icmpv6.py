from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotsim.wire import icmpv6
from iotsim.wire.errors import PacketError

A, B = 0xFD77 << 112 | 1, 0xFD77 << 112 | 0x10001


@given(st.integers(0, 255), st.integers(0, 255), st.integers(0, 0xFFFFFFFF), st.binary(max_size=41))
def test_what_is_built_parses_to_the_same(kind: int, code: int, rest: int, data: bytes) -> None:
    message = icmpv6.build_icmpv6(A, B, kind, code, rest, data)
    assert icmpv6.parse_icmpv6(A, B, message) == (kind, code, rest, data)
    with pytest.raises(PacketError, match="icmpv6-checksum"):
        icmpv6.parse_icmpv6(A, B + 1, message)


@given(st.binary(max_size=30))
def test_any_bytes_are_a_message_or_an_error(data: bytes) -> None:
    try:
        message = icmpv6.parse_icmpv6(A, B, data)
    except PacketError:
        return
    assert message.data == data[8:]


def test_types_below_128_are_errors() -> None:
    assert icmpv6.is_error(b"\x01")
    assert icmpv6.is_error(b"")
    assert not icmpv6.is_error(b"\x80")
