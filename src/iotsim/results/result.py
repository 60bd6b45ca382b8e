"""``result.json``: what a run came to, as data.

It is written twice: at the start with the verdict "running", so that a run that was killed is not
taken for one that ended, and at the end.
"""

from __future__ import annotations

import shlex
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec

from iotsim.events import GatewayResult, Outcome, Unmatched  # noqa: TC001  # msgspec reads them
from iotsim.results.jsonl import printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FORMAT = 1
"""The version of ``result.json``, which is raised as that of events is (`iotsim.events.FORMAT`)."""
RUNNING = "running"
MOST_OF_A_VALUE = 100
"""At most this many characters of a parameter's value are part of a name."""


class RunResult(msgspec.Struct, kw_only=True):
    """What a run came to: the whole of ``result.json``."""

    format: int = FORMAT
    """The version of this format: 1."""
    scenario: str
    """The scenario's name."""
    path: str
    """Its file."""
    verdict: str = RUNNING
    """"passed", "failed", "error", "skipped", "inconclusive" or "empty"; "running" until the run has ended,
    so for ever of one that was killed."""
    reason: str = ""
    """Why, in a line; "" where the verdict says it all."""
    seed: int
    """The seed: with the same one, devices are the same and do the same."""
    started: str = ""
    """When t = 0 was, in UTC, as in ISO 8601."""
    duration_s: float = 0.0
    """How long the run took until everything was judged, in seconds."""
    repeat: str = ""
    """The command that runs the same again."""
    parameters: dict[str, str] = {}
    """Those of the matrix and of ``--set``, as ``--set`` takes them."""
    link: str = ""
    """The kind of link: tun, tap, loopback or memory."""
    tolerance: float = 1.0
    """The factor of all windows of time."""
    speed: float = 1.0
    """How many seconds of the run a real second has."""
    expectations: list[Outcome] = []
    """What became of each, in the order of the scenario."""
    notes: list[str] = []
    """What is true of the whole run, for people."""
    errors: list[str] = []
    """What was wrong with the scenario, a protocol or a behavior."""
    gateway: GatewayResult | None = None
    """The gateway; null where we started none."""
    fleets: dict[str, dict[str, Any]] = {}
    """By name of the fleet: ``count``, ``addresses`` (``first-last``, or one) and ``protocols``."""
    counters: dict[str, int] = {}
    """Packets by outcome, and everything that was dropped, by name; what is 0 is left out."""
    unmatched: list[Unmatched] = []
    """Messages to which no rule applied, by fleet and kind, the commonest first."""
    lag: dict[str, float] = {}
    """The simulator's own delays in seconds, by name."""
    versions: dict[str, str] = {}
    """Of iotsim, of Python, of the kernel and of libraries, by name."""
    files: list[str] = []
    """What the run left besides, relative to this file; folders end with a slash."""


def utc_text(unix_time: float) -> str:
    """``2026-03-14T15:09:26.535+00:00``; "" where there is no such date."""
    try:
        return datetime.fromtimestamp(unix_time, UTC).isoformat(timespec="milliseconds")
    except (OverflowError, OSError, ValueError):  # as damaged events may say
        return ""


def repeat_command(
    path: str,
    seed: int,
    *,
    options: Sequence[str] = (),
    parameters: Mapping[str, str] | None = None,
    gateway: Sequence[str] = (),
) -> str:
    """The line that runs a scenario again. `gateway`: the command given in the place of its own."""
    words = ["iotsim", "run", path, *options, *set_words(parameters or {}), "--seed", str(seed)]
    if gateway:
        words += ["--", *gateway]
    return shlex.join(words)


def set_words(parameters: Mapping[str, str]) -> list[str]:
    """The words of a command line that set `parameters`."""
    return [word for name, text in parameters.items() for word in ("--set", f"{name}={text}")]


def title_of(scenario: str, parameters: Mapping[str, str]) -> str:
    """What a run is called among others: its scenario, with the parameters that tell it from its like, those
    left out that its name has in brackets already, as that of a run of a matrix does."""
    told = f", {scenario.rpartition(' [')[2][:-1]}, " if scenario.endswith("]") else ""
    setting = ", ".join(
        f"{name}={text}"
        for name, text in sorted(parameters.items())
        if f", {name}={text[:MOST_OF_A_VALUE]}, " not in told
    )
    return f"{scenario} [{setting}]" if setting else scenario


def encode_result(result: RunResult) -> bytes:
    """`result` as indented JSON, ended by a newline."""
    try:
        data = msgspec.json.encode(result)
    except UnicodeEncodeError:  # a gateway's last lines, or a name, with lone surrogates
        data = msgspec.json.encode(printable(msgspec.to_builtins(result)))
    return msgspec.json.format(data, indent=2) + b"\n"


def decode_result(data: bytes) -> RunResult:
    """The result that `data` holds. Raises ValueError (msgspec.MsgspecError is one) where it is none."""
    try:
        return msgspec.json.decode(data, type=RunResult)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def counted(counters: Mapping[str, int]) -> dict[str, int]:
    """`counters` sorted by name, without those that are 0."""
    return {name: counters[name] for name in sorted(counters) if counters[name]}
