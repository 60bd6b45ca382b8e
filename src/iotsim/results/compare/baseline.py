"""A baseline: the profiles of runs, in one JSON file that lies in a repository.

What says nothing to the next run is left out (when it was, and where), times and other measured figures have
three digits, keys are sorted: the same runs give the same bytes, and a change shows as a few lines.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import msgspec

from iotsim.results.compare.profile import Profile, Times
from iotsim.results.compare.spread import Percentile
from iotsim.results.jsonl import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

FORMAT = 1
MOST_DEVICES = 200
"""Of a run with more, none is told of by itself."""
DIGITS = 3


class Baseline(msgspec.Struct, kw_only=True):
    """``scenarios``: by the path of the scenario's file as seen from the baseline, or its name, with the
    parameters."""

    format: int
    scenarios: dict[str, Profile]


def encode_baseline(profiles: Mapping[str, Profile]) -> bytes:
    """The baseline of `profiles`, as `settled` leaves them, as indented JSON."""
    plain = printable(msgspec.to_builtins(Baseline(format=FORMAT, scenarios=dict(profiles))))
    return msgspec.json.format(msgspec.json.encode(plain, order="deterministic"), indent=1) + b"\n"


def decode_baseline(data: bytes) -> dict[str, Profile]:
    """The profiles in `data`. ValueError if it is no baseline, or one of a newer form."""
    try:
        baseline = msgspec.json.decode(data, type=Baseline)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ValueError(f"it is no baseline: {error}") from None
    if baseline.format != FORMAT:
        raise ValueError(f"it is of form {baseline.format}, and this iotsim knows {FORMAT}")
    return baseline.scenarios


def settled(profile: Profile, path: str) -> Profile:
    """`profile` as a baseline keeps it, of a scenario at `path`."""
    few = len(profile.devices) <= MOST_DEVICES and not profile.devices_left_out
    devices = {
        name: msgspec.structs.replace(
            one, latency=_rounded_percentile(one.latency), answer=_rounded_percentile(one.answer)
        )
        for name, one in profile.devices.items()
    }
    return msgspec.structs.replace(
        profile,
        path=path,
        reason="",
        started="",
        versions={},
        duration_s=rounded(profile.duration_s),
        lag_s=rounded(profile.lag_s),
        latency=_rounded_times(profile.latency),
        answer=_rounded_times(profile.answer),
        interval=_rounded_times(profile.interval),
        gateway={name: rounded(value) for name, value in profile.gateway.items()},
        devices=devices if few else {},
        devices_told=few,
    )


def _rounded_times(times: Times) -> Times:
    percentiles = {name: _rounded_percentile(one) for name, one in times.percentiles.items()}
    return Times(times.count, {name: one for name, one in percentiles.items() if one})


def _rounded_percentile(one: Percentile | None) -> Percentile | None:
    if one is None or one.low is None or one.high is None:
        return one and Percentile(rounded(one.value))
    # Outwards, so that the interval still has inside what it had.
    return Percentile(rounded(one.value), _down(one.low), -_down(-one.high))


def rounded(value: float) -> float:
    """`value` with so many digits."""
    return float(f"{value:.{DIGITS}g}")


def _down(value: float) -> float:
    """`value` with so many digits, not larger than it is."""
    if not value or not math.isfinite(value):
        return value
    unit = 10.0 ** (math.floor(math.log10(abs(value))) - DIGITS + 1)
    return rounded(math.floor(value / unit) * unit)
