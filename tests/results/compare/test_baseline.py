"""A baseline: the same bytes for the same runs, and nothing in it that makes a run look worse than it is."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.results.compare.made import profile, received, sent

from iotsim.results.compare.baseline import (
    MOST_DEVICES,
    decode_baseline,
    encode_baseline,
    rounded,
    settled,
)
from iotsim.results.compare.comparison import compare_runs
from iotsim.results.compare.thresholds import parse_threshold

STRICT = [
    parse_threshold(text)
    for text in ("protocol.new=0", "protocol.gone=0", "devices.gone=0", "counter.*=±0%")
]
TIMES = st.lists(st.floats(1e-4, 100), min_size=1, max_size=150)


def conversation(times: list[float], devices: int = 1) -> list[dict[str, Any]]:
    events = []
    for number, took in enumerate(times):
        name = f"meter[{number % devices}]"
        events.append(received(float(number), name, 2 * number + 1, kind="READ"))
        events.append(sent(number + took, name, 2 * number + 2, 2 * number + 1, kind="REPORT"))
    return events


@given(TIMES)
def test_a_run_is_no_worse_than_the_baseline_made_of_it(times: list[float]) -> None:
    now = profile(conversation(times))
    (base,) = decode_baseline(encode_baseline({"a": settled(now, "a.toml")})).values()
    told = compare_runs(base, now, STRICT)
    assert (told.state, told.expectations) == ("ok", [])
    assert all(one.state == "held" for one in told.thresholds)
    figures = {one.name: one for one in told.figures}
    p50 = figures["answer.p50"]
    assert p50.after == pytest.approx(p50.before, rel=0.006)
    # Rounding alone makes no change sure.
    assert p50.before == p50.after or p50.doubt


@given(TIMES)
def test_an_interval_is_rounded_outwards(times: list[float]) -> None:
    now = profile(conversation(times))
    base = settled(now, "a.toml")
    for name, one in now.answer.percentiles.items():
        other = base.answer.percentiles[name]
        assert other.sure == one.sure
        if one.low is not None and other.low is not None:
            assert other.low <= one.low <= other.low * 1.011
        if one.high is not None and other.high is not None:
            assert one.high <= other.high <= one.high * 1.011


def test_it_is_the_same_for_the_same_run_and_short_of_what_changes_each_time() -> None:
    first = profile(started="2026-01-01T00:00:00+00:00", reason="x", versions={"kernel": "6.1"})
    second = profile(started="2026-02-02T00:00:00+00:00", reason="y", versions={"kernel": "6.2"})
    one, other = (encode_baseline({"a": settled(run, "a.toml")}) for run in (first, second))
    assert one == other
    text = one.decode()
    assert "2026-" not in text
    assert text.isascii()
    assert max(map(len, text.splitlines())) < 200


def test_the_order_in_which_runs_were_put_in_does_not_show() -> None:
    base = settled(profile(), "a.toml")
    assert encode_baseline({"a": base, "b": base}) == encode_baseline({"b": base, "a": base})


def test_many_devices_are_not_told_of_by_themselves() -> None:
    many = profile(conversation([0.1] * 2 * MOST_DEVICES, MOST_DEVICES + 1))
    base = settled(many, "a.toml")
    assert base.devices == {}
    told = compare_runs(base, many)
    assert (told.devices.new.total, told.devices.gone.total) == (0, 0)
    assert any("too many" in note for note in told.notes)
    (check,) = compare_runs(base, many, [parse_threshold("devices.silent=0")]).thresholds
    assert check.state == "unsure"


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_rounded_value_is_rounded(value: float) -> None:
    assert rounded(rounded(value)) == rounded(value)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"null",
        b"{}",
        b"[]",
        b'{"format": 1}',
        b'{"format": 1, "scenarios": []}',
        b'{"format": 1, "scenarios": {"a": {}}}',
        b'{"format": 1, "scenarios": {"a": {"scenario": 7}}}',
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"format": 2, "scenarios": {}}',
    ],
)
def test_what_is_none_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"no baseline|is of form 2") as caught:
        decode_baseline(data)
    assert not isinstance(caught.value, msgspec.MsgspecError)


def test_a_name_that_utf_8_does_not_have_does_no_harm() -> None:
    odd = profile(scenario="\ud800", expectations=[("\ud800", "passed")])
    assert list(decode_baseline(encode_baseline({"\ud800": settled(odd, "")}))) == ["\\ud800"]
