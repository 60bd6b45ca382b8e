"""How times, messages and lists of devices are written in an outcome. All lengths are bounded."""

from __future__ import annotations

import re
from itertools import groupby, islice
from typing import TYPE_CHECKING, Any

from iotsim.units import format_duration

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

VALUE_CHARACTERS = 60
MESSAGE_CHARACTERS = 200
DEEPEST = 4
NOTE_CHARACTERS = 500
CONTENT = ("json", "payload", "message", "body")
"""The fields of what northbound services are sent that hold what it says, the best first."""
LAST = ("headers",)
TIMES_SHOWN = 6
LEAST_RUN = 3
"""Fewer devices in a row are named each by itself."""
NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)?")
INDEXED = re.compile(r"(?P<fleet>.*)\[(?P<index>[0-9]{1,9})\]", re.DOTALL)
MOMENT = re.compile(r"t=([0-9]+\.[0-9]{3}) s")


seconds = format_duration
"""A span of time for people."""


def moment(t: float) -> str:
    """A time of the run, to the millisecond, the unit in which captures are read."""
    return f"t={t:.3f} s"


def at(text: str, t: float) -> str:
    """What happened, and when."""
    return f"{clip(text, NOTE_CHARACTERS)} ({moment(t)})"


def never_began(after: str) -> str:
    """Why nothing was judged that comes after a step or an expectation."""
    return f"it never began: '{clip(after, VALUE_CHARACTERS)}' did not come"


def clip(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"


def value_text(value: Any, depth: int = 0, most: int = VALUE_CHARACTERS) -> str:
    """One value: names as they are, bytes as ``hex:0aff``, anything odd escaped."""
    if isinstance(value, bool):
        text = "true" if value else "false"
    elif isinstance(value, dict) and depth < DEEPEST:
        inner = islice(value.items(), VALUE_CHARACTERS)
        text = f"{{{' '.join(f'{name}={value_text(one, depth + 1)}' for name, one in inner)}}}"
    elif isinstance(value, str):
        text = value if value.isprintable() and value else repr(value)
    elif isinstance(value, bytes | bytearray | memoryview):
        text = "hex:" + bytes(value[:VALUE_CHARACTERS]).hex()
    elif isinstance(value, float):
        text = f"{value:.7g}"
    else:
        text = repr(value)
    return clip(text, most)


def message_text(message: Mapping[str, Any] | None) -> str:
    """A message on one line: ``kind=READ seq=3``."""
    if message is None:
        return "what could not be decoded"
    told = (f"{name}={value_text(value)}" for name, value in message.items())
    return _joined(told, MESSAGE_CHARACTERS)


def _joined(told: Iterable[str], most: int) -> str:
    """As many parts of a message as there is room for."""
    parts: list[str] = []
    length = 0
    for part in told:
        length += len(part) + 1
        if length > most:
            parts.append("…")
            break
        parts.append(part)
    return " ".join(parts) or "an empty message"


def north_text(
    fields: Mapping[str, Any], asked: Sequence[str] = (), most: int = MESSAGE_CHARACTERS
) -> str:
    """What a northbound service was sent, on one line: what was `asked` for, by the paths of its fields, then
    what it says, and its headers last."""
    parts = {path: _dug(fields, path) for path in asked}
    parts = {path: value for path, value in parts.items() if value is not None}
    content = [name for name in CONTENT if fields.get(name) is not None][:1]
    others = [name for name in fields if name not in (*content, *CONTENT, *LAST)]
    rest = [name for name in (*CONTENT, *LAST) if name in fields and name not in content]
    parts |= {name: fields[name] for name in (*content, *others, *rest) if name not in parts}
    told = (
        f"{name}={value_text(value, most=most // 2 if name in content else VALUE_CHARACTERS)}"
        for name, value in parts.items()
    )
    return _joined(told, most)


def _dug(fields: Mapping[str, Any], path: str) -> Any:
    """The value at a path of names with dots between; None without one."""
    value: Any = fields
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value


def devices_text(names: Sequence[str], total: int) -> str:
    """Devices as selectors, ``meter[3], meter[7:10] and 2 more``, of which `total` are meant."""
    parts: list[str] = []
    for (fleet, _), run in groupby(enumerate(names), key=_run_of):
        members = [name for _, name in run]
        if len(members) < LEAST_RUN:
            parts += members
        else:
            first, last = (int(members[end][len(fleet) + 1 : -1]) for end in (0, -1))
            parts.append(f"{fleet}[{first}:{last + 1}]")
    more = total - len(names)
    told = ", ".join(parts)
    return f"{told} and {more} more" if more > 0 and names else told


def _run_of(numbered: tuple[int, str]) -> tuple[str, int]:
    """What names that follow each other, each with its place in the list, have in common."""
    place, name = numbered
    match = INDEXED.fullmatch(name)
    if match is None:  # a service's, or of a file that is none of ours: it follows nothing
        return name, -1 - place
    return match["fleet"], int(match["index"]) - place


def alike(devices: Sequence[str], details: Sequence[str]) -> list[tuple[list[str], str]]:
    """Devices of which the same is to be told, and what that is; numbers may differ in it.

    Where they differ, times become ranges, and of the rest the first device's are told.
    """
    groups: dict[str, list[int]] = {}
    for place, (_, detail) in enumerate(zip(devices, details, strict=False)):
        groups.setdefault(NUMBER.sub("#", detail), []).append(place)
    return [
        ([devices[place] for place in places], _common([details[place] for place in places]))
        for places in groups.values()
    ]


def _common(details: Sequence[str]) -> str:
    """`details`, which are the same but for numbers, as one."""
    if len(set(details)) == 1:
        return details[0]
    times = [
        sorted(map(float, column)) for column in zip(*map(MOMENT.findall, details), strict=True)
    ]
    spans = iter(
        [moment(ts[0]) if ts[0] == ts[-1] else f"t={ts[0]:.3f}..{ts[-1]:.3f} s" for ts in times]
    )
    told = MOMENT.sub(lambda _: next(spans), details[0])
    same = len({MOMENT.sub("", detail) for detail in details}) == 1
    return told if same else f"{told}; the others alike"


def arrivals_text(count: int, first: Sequence[tuple[float, str]]) -> str:
    """How many came and when, and the first of them: (time, message); "" where none came."""
    if not count:
        return ""
    t, message = first[0]
    if count == 1:
        return f"1 came: {at(message, t)}"
    return f"{count} came: {_times(count, [t for t, _ in first])}; the first: {message}"


def last_text(said: str, times: Sequence[float], last: str, earlier: int = 0) -> str:
    """What is `said`, with the times of the `earlier` ones (at least `times`) and the `last` one."""
    if not times:
        return f"{said}: {last}"
    return f"{said}: {_times(max(earlier, len(times)), times)}, and last {last}"


def _times(count: int, times: Sequence[float]) -> str:
    """The first of `count` times."""
    told = ", ".join(map(moment, times[:TIMES_SHOWN]))
    more = count - min(len(times), TIMES_SHOWN)
    return f"{told} and {more} more" if more else told


def plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def mismatch_text(mismatches: Iterable[Any]) -> str:
    """``kind was COMMAND instead of READ, seq was 3 instead of 4``: of objects like Mismatch."""
    parts = [
        f"{mismatch.field} was {value_text(mismatch.actual)} instead of {value_text(mismatch.expected)}"
        for mismatch in mismatches
    ]
    return clip(", ".join(parts), MESSAGE_CHARACTERS)
