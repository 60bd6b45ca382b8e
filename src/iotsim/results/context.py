"""The messages around a failure, read back from ``events.jsonl``.

The file may be large and may have been cut off in the middle of a line. It is read once, line by
line; a line is decoded only if a device of interest stands in it, and what is no event is skipped.
"""

from __future__ import annotations

import re
from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from iotsim.expect.text import clip, message_text
from iotsim.safetext import safe_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

TEXT_CHARACTERS = 300


class ContextLine(NamedTuple):
    """An event of one device. ``what`` is the kind of event; ``peer`` may be "", and so may ``befell``: which
    impairments and faults the message met, and what they did. ``towards`` is how `peer` stands to it."""

    t: float
    what: str
    peer: str
    text: str
    befell: str = ""
    towards: str = ""

    @property
    def head(self) -> str:
        """When, and what kind of event: what stands before the text."""
        return f"t={self.t:.3f} s  {self.what:<11} "

    @property
    def body(self) -> str:
        text = (
            f"{self.text}  {self.towards} {self.peer}" if self.peer and self.towards else self.text
        )
        return f"{text}  [{self.befell}]" if self.befell else text

    def __str__(self) -> str:
        return self.head + self.body


class _Collector:
    """The last `before` lines up to the moment and the first `after` beyond it."""

    def __init__(self, moment: float | None, before: int, after: int) -> None:
        self.moment = moment
        self.earlier: deque[ContextLine] = deque(maxlen=before)
        self.later: list[ContextLine] = []
        self.after = after

    def add(self, line: ContextLine) -> None:
        if self.moment is None or line.t <= self.moment:
            self.earlier.append(line)
        elif len(self.later) < self.after:
            self.later.append(line)


def device_context(
    lines: Iterable[bytes],
    moments: Mapping[str, float | None],
    *,
    before: int = 5,
    after: int = 2,
) -> dict[str, list[ContextLine]]:
    """For each device of `moments`, what it received and sent around that time.

    `lines` are the lines of ``events.jsonl``, as a file opened for reading bytes gives them. The
    moment None stands for the end of the run. A device without any event has an empty list.
    """
    collectors = {name: _Collector(moment, before, after) for name, moment in moments.items()}
    if not collectors:
        return {}
    names = b"|".join(re.escape(msgspec.json.encode(name)) for name in collectors)
    interesting = re.compile(b'"device":(?:' + names + b")")
    for raw in lines:
        if not interesting.search(raw):
            continue
        try:
            event = msgspec.json.decode(raw)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            continue
        if not isinstance(event, dict):
            continue
        collector = collectors.get(str(event.get("device")))
        line = _line(event)
        if collector is not None and line is not None:
            collector.add(line)
    return {name: [*found.earlier, *found.later] for name, found in collectors.items()}


def _line(event: dict[str, Any]) -> ContextLine | None:
    t, what = event.get("t"), event.get("event")
    if not isinstance(t, int | float) or not isinstance(what, str):
        return None
    message = event.get("message")
    if what in ("received", "sent") and isinstance(message, dict):
        layer = event.get("layer")
        text = message_text(message) + (f"  [{layer}]" if layer == "wire" else "")
    elif what == "undecodable":
        text = f"{event.get('reason')}: hex:{event.get('data')}"
    elif what == "not-sent":
        text = str(event.get("reason"))
        if isinstance(message, dict):
            text = f"{message_text(message)}: {text}"
    elif what == "device-failed":
        text = str(event.get("error"))
    else:
        return None
    sends = what == "sent" or event.get("sent") is True
    towards = "to" if sends else "from" if what in ("received", "undecodable") else ""
    return ContextLine(
        float(t),
        what,
        safe_line(str(event.get("peer", ""))),
        clip(safe_line(text), TEXT_CHARACTERS),
        clip(safe_line(_befell(event)), TEXT_CHARACTERS),
        towards,
    )


def _befell(event: dict[str, Any]) -> str:
    """What impairments and faults did to the message of an event."""
    names, fate, delay_s = (event.get(key) for key in ("impaired", "fate", "delay_s"))
    if not names:
        return ""
    parts = [str(fate)] if fate else []
    if isinstance(delay_s, int | float) and delay_s > 0:
        parts.append(f"{1000 * delay_s:.0f} ms later")
    return f"{names}: {', '.join(parts)}" if parts else str(names)
