import binascii

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotsim.protocol import checksums

CHECK = b"123456789"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("crc16_ccitt", 0x29B1),
        ("crc16_modbus", 0x4B37),
        ("crc32", 0xCBF43926),
        ("sum8", sum(CHECK) & 0xFF),
        ("xor8", 0x31),
    ],
)
def test_check_values(name: str, value: int) -> None:
    assert getattr(checksums, name)(CHECK) == value


def test_of_nothing() -> None:
    assert checksums.crc16_ccitt(b"") == 0xFFFF
    assert checksums.crc16_modbus(b"") == 0xFFFF
    assert checksums.crc32(b"") == checksums.sum8(b"") == checksums.xor8(b"") == 0


@given(st.binary())
def test_inline_source_computes_the_same(data: bytes) -> None:
    names = {"crc_hqx": binascii.crc_hqx, "zlib_crc32": binascii.crc32, "data": data}
    for function, source in checksums.INLINE.items():
        assert eval(source.format("data"), names) == function(data)
