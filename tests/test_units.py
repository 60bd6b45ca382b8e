from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iotsim import units
from iotsim.units import AddressRange, DurationRange, Tolerance


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("20ms", 0.02),
        ("1.5s", 1.5),
        ("1h30m", 5400.0),
        ("2m 30s", 150.0),
        ("1d", 86400.0),
        ("100us", 1e-4),
        ("100µs", 1e-4),
        ("5 s", 5.0),
        ("0s", 0.0),
        ("1m500ms", 60.5),
        ("2min", 120.0),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    assert units.parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("10", "has no unit; write '10s'"),
        ("", "is no duration"),
        ("-1s", "is no duration"),
        ("1x", "unknown unit 'x'"),
        ("1S", "unknown unit"),
        ("30m1h", "from large to small"),
        ("1s1s", "from large to small"),
        ("1s,2ms", "is no duration"),
        ("1s foo", "is no duration"),
        ("nan", "is no duration"),
        ("1e9s", "unknown unit 'e'"),
        ("99999d", "longer than ten years"),
        ("9" * 500 + "s", "too long"),
    ],
)
def test_what_is_no_duration(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        units.parse_duration(text)


@pytest.mark.parametrize(
    ("text", "size", "shown"),
    [
        ("100MB", 100_000_000, "100 MB"),
        ("1.5 GB", 1_500_000_000, "1.5 GB"),
        ("2kB", 2000, "2 kB"),
        ("1TB", 10**12, "1 TB"),
        ("0.5kB", 500, "500 bytes"),
    ],
)
def test_sizes(text: str, size: int, shown: str) -> None:
    assert units.parse_size(text) == size
    assert units.format_size(size) == shown


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("100", "is no size; write '100MB'"),
        ("", "is no size"),
        ("-1MB", "is no size"),
        ("1MiB", "unknown unit 'MiB'"),
        ("1mb", "unknown unit 'mb'"),
        ("1MB2", "is no size"),
        ("9" * 500 + "MB", "too long"),
    ],
)
def test_what_is_no_size(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        units.parse_size(text)


def test_duration_ranges() -> None:
    assert units.parse_duration_range("5ms..20ms") == DurationRange(0.005, 0.02)
    assert units.parse_duration_range("1s .. 2s") == DurationRange(1, 2)
    assert units.parse_duration_range("1s") == DurationRange(1, 1)
    with pytest.raises(ValueError, match="ends before it starts"):
        units.parse_duration_range("2s..1s")
    with pytest.raises(ValueError, match="is no duration"):
        units.parse_duration_range("1s..")


def test_tolerances() -> None:
    assert units.parse_tolerance("2s ± 10%") == Tolerance(2, 0.1, 0.02)
    assert units.parse_tolerance("2s +- 10%") == units.parse_tolerance("2s+/-10%")
    assert units.parse_tolerance("2s ± 50ms") == Tolerance(2, 0, 0.05)
    assert units.parse_tolerance("2s").bounds() == (2, 2)
    assert units.parse_tolerance("2s ± 10%").bounds() == pytest.approx((1.8, 2.2))
    assert units.parse_tolerance("2s ± 10%").bounds(2) == pytest.approx((1.6, 2.4))


def test_a_tolerance_in_percent_has_a_floor() -> None:
    assert units.parse_tolerance("50ms ± 10%").bounds() == pytest.approx((0.03, 0.07))
    assert units.parse_tolerance("10ms ± 10%").bounds() == pytest.approx((0, 0.03))


def test_shares() -> None:
    assert units.parse_share("30%") == pytest.approx(0.3)
    assert units.parse_share("0.5 %") == pytest.approx(0.005)
    for wrong in ("30", "101%", "-1%", "%", "nan%", ""):
        with pytest.raises(ValueError, match=r"share|more than"):
            units.parse_share(wrong)


def test_bytes() -> None:
    assert units.parse_bytes("hex:0a ff") == b"\x0a\xff"
    assert units.parse_bytes("hex:") == b""
    for wrong in ("0aff", "hex:0", "hex:zz"):
        with pytest.raises(ValueError, match="hex"):
            units.parse_bytes(wrong)


def ip(text: str) -> int:
    return int(ipaddress.ip_address(text))


@pytest.mark.parametrize(
    ("text", "first", "count"),
    [
        ("10.77.1.1", "10.77.1.1", None),
        ("10.77.1.1-10.77.1.14", "10.77.1.1", 14),
        ("10.77.1.0/24", "10.77.1.1", 254),
        ("10.77.1.0/31", "10.77.1.0", 2),
        ("10.77.1.7/32", "10.77.1.7", 1),
        ("fd77::1:1", "fd77::1:1", None),
        ("fd77:0:0:1::/64", "fd77:0:0:1::1", 2**64 - 1),
        ("fd77::4/127", "fd77::4", 2),
        ("fd77::1 - fd77::ff", "fd77::1", 255),
    ],
)
def test_addresses(text: str, first: str, count: int | None) -> None:
    assert units.parse_addresses(text) == AddressRange(ip(first), count)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("10.77.1", "is no IP address"),
        ("10.77.1.5/24", "write 10.77.1.0/24"),
        ("10.77.1.9-10.77.1.1", "ends before"),
        ("10.77.1.9-fd77::1", "mixes"),
        ("10.77.1.0/33", "0 to 32 bits"),
        ("10.77.1.0/", "0 to 32 bits"),
        ("fe80::1%eth0", "has a zone"),
        ("::1", "not an address for hosts"),
        ("::/0", "not an address for hosts"),
        ("", "is no IP address"),
        ("a-b", "is no IP address"),
    ],
)
def test_what_is_no_addresses(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        units.parse_addresses(text)


def test_endpoints() -> None:
    assert units.parse_endpoint("10.77.0.1:5600") == (ip("10.77.0.1"), 5600)
    assert units.parse_endpoint("[fd77::1]:65535") == (ip("fd77::1"), 65535)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("10.77.0.1", "is no address with a port"),
        ("10.77.0.1:0", "is no address with a port"),
        ("10.77.0.1:65536", "is no address with a port"),
        ("10.77.0.1:٣", "is no address with a port"),
        ("[10.77.0.1]:5600", "is no address with a port"),
        ("fd77::1:5600", r"write '10\.77\.0\.9:5600' or '\[fd77::9\]:5600'"),
        ("[fd77::1]", "is no address with a port"),
        (":5600", "is no address with a port"),
        ("[fe80::1%eth0]:5600", "has a zone"),
        ("meter:5600", "is no IP address"),
    ],
)
def test_what_is_no_endpoint(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        units.parse_endpoint(text)


@settings(max_examples=60)
@given(st.text(alphabet="0123456789.smh±% -:/hexµ\x00é", max_size=60) | st.text(max_size=300))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    for parse in (
        units.parse_duration,
        units.parse_duration_range,
        units.parse_tolerance,
        units.parse_share,
        units.parse_bytes,
        units.parse_addresses,
        units.parse_interface,
        units.parse_endpoint,
    ):
        try:
            parse(text)
        except ValueError as error:
            assert str(error)  # noqa: PT017


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (5, "5 s"),
        (1.5, "1.5 s"),
        (0.25, "250 ms"),
        (0.000123, "0.123 ms"),
        (-2, "-2 s"),
    ],
)
def test_a_span_of_time_for_people(seconds: float, text: str) -> None:
    assert units.format_duration(seconds) == text
