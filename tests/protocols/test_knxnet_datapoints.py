"""Datapoint types (3/7/2): how values stand in telegrams, their ranges, and their rounding."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotsim import DecodeError, EncodeError
from iotsim.protocols.knxnet.datapoint import FORMS, datapoint


def packed(dpt: str, value: Any) -> str:
    small, data = datapoint(dpt).pack(value)
    return data.hex() if data else f"{small:x}"


def unpacked(dpt: str, text: str) -> Any:
    data = bytes.fromhex(text) if len(text) > 1 else b""
    return datapoint(dpt).unpack(0 if data else int(text, 16), data)


EXAMPLES: list[tuple[str, Any, str]] = [
    ("1.001", True, "1"),
    ("2.001", {"control": True, "value": False}, "2"),
    ("3.007", {"control": False, "step": 3}, "3"),
    ("4.001", "A", "41"),
    ("4.002", "ü", "fc"),
    ("5.004", 200, "c8"),
    ("5.010", 255, "ff"),
    ("6.001", -128, "80"),
    ("6.010", -5, "fb"),
    ("6.020", {"a": True, "b": False, "c": False, "d": False, "e": True, "mode": 1}, "8a"),
    ("7.001", 65535, "ffff"),
    ("7.003", 100, "000a"),
    ("7.004", 1000, "000a"),
    ("7.600", 2700, "0a8c"),
    ("8.001", -300, "fed4"),
    ("8.003", -100, "fff6"),
    ("8.010", -1.5, "ff6a"),
    ("8.011", -180, "ff4c"),
    ("9.001", -30, "8a24"),
    ("9.001", 21.5, "0c33"),
    ("9.020", -671088.64, "f800"),
    ("10.001", {"day": 3, "hour": 12, "minutes": 34, "seconds": 56}, "6c2238"),
    ("11.001", {"day": 24, "month": 12, "year": 1999}, "180c63"),
    ("11.001", {"day": 1, "month": 1, "year": 2089}, "010159"),
    ("12.001", 4294967295, "ffffffff"),
    ("13.001", -2147483648, "80000000"),
    ("14.056", -1.5, "bfc00000"),
    ("16.000", "KNX is OK", "4b4e58206973204f4b0000000000"),
    ("16.001", "Grüße", "4772fcdf65000000000000000000"),
    ("17.001", 12, "0c"),
    ("18.001", {"learn": True, "scene": 12}, "8c"),
    ("20.102", "ECONOMY", "03"),
    ("20.102", 77, "4d"),
    ("20.105", "NODEM", "14"),
    ("29.010", -5, "fffffffffffffffb"),
    ("232.600", {"red": 255, "green": 128, "blue": 1}, "ff8001"),
]
"""xknx 4.0.0 writes them so, but for 4.002, 6.020, and 18.001, 20.102 and 20.105 by name."""


@pytest.mark.parametrize(("dpt", "value", "data"), EXAMPLES)
def test_values_stand_as_the_standard_has_it(dpt: str, value: Any, data: str) -> None:
    assert packed(dpt, value) == data
    assert unpacked(dpt, data) == value


def test_scalings_are_rounded_to_their_steps() -> None:
    assert [packed("5.001", value) for value in (0, 50, 100)] == ["00", "80", "ff"]
    assert [packed("5.003", value) for value in (0, 270, 360)] == ["00", "bf", "ff"]
    assert unpacked("5.001", "80") == pytest.approx(50.196, abs=0.001)
    assert unpacked("5.003", "bf") == pytest.approx(269.647, abs=0.001)


def test_a_date_and_time_has_its_flags() -> None:
    """3/7/2, section 3.20; the bytes are those of xknx."""
    found = unpacked("19.001", "7e0b1a020c212400")
    assert {name: value for name, value in found.items() if value} == {
        "year": 2026,
        "month": 11,
        "day": 26,
        "hour": 2,
        "minutes": 12,
        "seconds": 33,
        "no_working_day": True,
        "no_day_of_week": True,
    }
    assert packed("19.001", found) == "7e0b1a020c212400"


def test_access_data_is_six_digits_and_an_index() -> None:
    code = {f"digit_{place}": place for place in range(1, 7)}
    data = packed("15.000", {**code, "permission": True, "index": 9})
    assert data == "65432149"
    assert unpacked("15.000", data)["digit_6"] == 6


def test_a_float_of_two_bytes_has_a_code_for_invalid_data() -> None:
    """3/7/2, section 3.10: 7FFFh, which no number takes."""
    assert packed("9.001", None) == "7fff"
    assert unpacked("9.001", "7fff") is None
    assert packed("9.004", 670433.28) == "7ffe"
    with pytest.raises(EncodeError):
        packed("9.004", 670760.96)


@given(st.floats(-671088.64, 670433.28))
def test_a_float_of_two_bytes_is_the_nearest(value: float) -> None:
    """None of the neighbors is nearer; the smallest exponent is taken, which is the most precise."""
    form = datapoint("9")
    number = form.write(value)
    exponent = number >> 11 & 15
    step = 0.01 * (1 << exponent)
    found = form.read(number)
    assert found is not None
    assert abs(found - value) <= step / 2 + 0.006
    if exponent:
        assert abs(value) > 20.47 * (1 << (exponent - 1)) - step


@given(st.integers(0, 0xFFFF))
def test_every_float_of_two_bytes_comes_back(number: int) -> None:
    """As a number, if not with the same exponent."""
    form = datapoint("9")
    value = form.read(number)
    assert form.read(form.write(value)) == value


@pytest.mark.parametrize(
    ("dpt", "value"),
    [
        ("1", 2),
        ("1", "on"),
        ("2", {"control": True}),
        ("2", {"control": True, "value": True, "more": 1}),
        ("3.007", {"control": True, "step": 8}),
        ("4.001", "ü"),
        ("4.001", "AB"),
        ("5.001", 100.5),
        ("5.003", -1),
        ("5.004", 256),
        ("5.006", 255),
        ("6.010", 128),
        ("6.020", {"mode": 3}),
        ("7.001", -1),
        ("8.010", 400),
        ("9.001", -274),
        ("9.007", -1),
        ("9.001", math.nan),
        ("9.001", "warm"),
        ("10.001", {"hour": 24, "minutes": 0, "seconds": 0}),
        ("11.001", {"day": 1, "month": 1, "year": 1989}),
        ("12.001", 1 << 32),
        ("14.056", 1e39),
        ("16.000", "fifteen letters"),
        ("17.001", 64),
        ("20.102", "WARM"),
        ("232.600", [1, 2, 3]),
    ],
)
def test_what_is_beyond_its_range_is_no_value(dpt: str, value: Any) -> None:
    with pytest.raises(EncodeError):
        datapoint(dpt).pack(value)


@pytest.mark.parametrize(
    ("dpt", "data"),
    [
        ("1", "01"),
        ("5", "1"),
        ("9", "01"),
        ("5.006", "ff"),
        ("4.001", "fc"),
        ("6.020", "83"),
        ("10.001", "1e0000"),
        ("11.001", "000101"),
        ("17.001", "40"),
        ("16.000", "fc" + "00" * 13),
    ],
)
def test_what_is_no_value_is_not_read(dpt: str, data: str) -> None:
    with pytest.raises(DecodeError):
        unpacked(dpt, data)


def test_a_value_beyond_its_range_has_a_nearest_one() -> None:
    assert datapoint("5.001").nearest(120) == 100
    assert datapoint("9.001").nearest(-1000) == -273
    assert datapoint("9.001").nearest(math.inf) == 670433.28
    assert datapoint("16.000").nearest("fifteen letters") == "fifteen letter"
    assert datapoint("1").nearest(7) is True
    assert datapoint("5").nearest("none") == "none"


def test_a_subnumber_that_is_not_known_has_the_range_of_its_main_number() -> None:
    assert datapoint("9.999") is FORMS["9"]
    assert datapoint("5.1") is FORMS["5.001"]
    for wrong in ("", "0", "9.", ".1", "9.001.2", "x", "250", "-9"):
        with pytest.raises(ValueError, match="datapoint type"):
            datapoint(wrong)


@given(st.sampled_from(sorted(FORMS)), st.binary(max_size=15), st.integers(0, 63))
def test_what_is_read_is_written_so_again(name: str, data: bytes, small: int) -> None:
    """Whatever comes is a value or a DecodeError, and a value comes back."""
    form = FORMS[name]
    try:
        value = form.unpack(small, data)
    except DecodeError:
        return
    again = form.unpack(*form.pack(value))
    assert again == value or (isinstance(value, float) and math.isnan(value))


@pytest.mark.parametrize("dpt", ["5", "5.001", "9", "12", "17", "29"])
def test_no_number_is_too_large_for_the_nearest_that_there_is(dpt: str) -> None:
    form = datapoint(dpt)
    assert form.pack(form.nearest(10**400)) == form.pack(form.nearest(10**300))
