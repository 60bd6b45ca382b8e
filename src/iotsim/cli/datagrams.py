"""The datagrams of a capture or of an interface, shown one after the other, and counted at the end."""

from __future__ import annotations

import datetime as dt
import signal
import sys
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from iotsim.capture import CaptureError, Datagrams
from iotsim.cli.app import EXIT_EMPTY, EXIT_ERROR
from iotsim.cli.streams import is_heard
from iotsim.expect.text import clip, plural
from iotsim.protocol.dissection import dissect, summary_line
from iotsim.results.jsonl import printable
from iotsim.safetext import safe_json, safe_line
from iotsim.units import format_duration
from iotsim.wire.address import format_endpoint

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from iotsim.capture import Decoded, Decoder, Frame
    from iotsim.protocol.definition import Protocol as IotProtocol

LONGEST_REASON = 500
"""Characters of what is said beside a message, or in the place of one."""
BYTES_IN_SHORT = 64
"""At most this many bytes of a datagram that is no message are shown in a line."""


class Form(Protocol):
    """How a datagram is shown, and what is told of all at the end."""

    def lines(self, decoded: Decoded) -> Iterator[str]: ...
    def tell(self, text: str) -> None: ...


class Text:
    """For people: a line for each datagram and, unless `in_short`, its fields below."""

    def __init__(self, protocol: IotProtocol, *, in_short: bool) -> None:
        self._protocol = protocol
        self._in_short = in_short

    def lines(self, decoded: Decoded) -> Iterator[str]:
        seen, message, error, notes, faults, device = decoded
        if message is None:
            said = clip(f"no message: {error}", LONGEST_REASON)
        else:
            said = summary_line(self._protocol, message)
        head = (
            f"#{seen.number}  {seen.time:.6f}  {format_endpoint(*seen.source)} > "
            f"{format_endpoint(*seen.destination)}  {said}".rstrip()
        )
        if notes or faults:
            head += f"  [{clip('; '.join((*notes, *faults)), LONGEST_REASON)}]"
        yield safe_line(head)
        if not self._in_short:
            answer = seen.from_device
            dissection = dissect(self._protocol, seen.datagram, answer=answer, device=device)
            for line in dissection.lines():
                yield f"    {line}"
            yield ""
        elif message is None:
            more = " ..." if len(seen.datagram) > BYTES_IN_SHORT else ""
            yield f"    {seen.datagram[:BYTES_IN_SHORT].hex(' ')}{more}"

    def tell(self, text: str) -> None:
        print(text)


class JsonLines:
    """For programs: a line of JSON for each datagram. What is told besides goes to standard error."""

    def lines(self, decoded: Decoded) -> Iterator[str]:
        seen, message, error, notes, faults, _ = decoded
        record: dict[str, Any] = {
            "number": seen.number,
            "t": seen.time,
            "source": format_endpoint(*seen.source),
            "destination": format_endpoint(*seen.destination),
            "from_device": seen.from_device,
            "datagram": seen.datagram,
            "message": message,
            "notes": list(notes),
            "faults": list(faults),
        }
        if error is not None:
            record["error"] = {"reason": error.reason, "path": error.path, "offset": error.offset}
        encoded = msgspec.json.encode(printable(record)).decode()
        # As JSON has it, what would be shown by an escape that JSON does not have.
        yield safe_json(encoded)

    def tell(self, text: str) -> None:
        print(text, file=sys.stderr)


class Reading:
    """One capture, from its first frame to its last, or to the ``most``-th datagram that is shown.

    ``at_once``: each is shown as it comes, since there may be none for long.
    """

    def __init__(
        self, decoder: Decoder, form: Form, *, most: int = 0, at_once: bool = False
    ) -> None:
        self._decoder = decoder
        self._form = form
        self._most = most
        self._at_once = at_once
        self._datagrams = Datagrams()
        self._first_ns = self._last_ns = 0
        self._waiting = True
        self._interrupted = False

    def read(self, frames: Iterable[Frame | None]) -> int:
        """Show everything, before each None all that is there; the exit code."""
        damage: CaptureError | None = None
        before = signal.signal(signal.SIGINT, self._interrupt)
        try:
            self._show(frames)
        except CaptureError as error:
            damage = error
        except KeyboardInterrupt:
            pass
        finally:
            signal.signal(signal.SIGINT, before)
        self._datagrams.end()
        for line in self._closing_lines():
            self._form.tell(line)
        decoder = self._decoder
        if damage is not None:
            print(f"iotsim: {damage}", file=sys.stderr)
        if decoder.unfollowed:
            print(f"iotsim: the protocol's follower fails: {decoder.unfollowed}", file=sys.stderr)
        if damage is not None or decoder.undecodable or decoder.unfollowed:
            return EXIT_ERROR
        return 0 if decoder.messages else EXIT_EMPTY

    def _show(self, frames: Iterable[Frame | None]) -> None:
        find, decode, lines = self._datagrams.find, self._decoder.decode, self._form.lines
        shown = 0
        for frame in frames:
            self._waiting = False
            if frame is None:
                sys.stdout.flush()
                if self._interrupted:
                    return
                self._waiting = True
                continue
            if frame.number == 1:
                self._first_ns = frame.time_ns
                self._decoder.began(frame.time_ns)
            self._last_ns = frame.time_ns
            datagram = find(frame)
            decoded = None if datagram is None else decode(datagram)
            if decoded is not None:
                sys.stdout.write("\n".join(lines(decoded)) + "\n")
                if self._at_once:
                    sys.stdout.flush()
                shown += 1
            if self._interrupted or shown == self._most > 0 or not is_heard():
                return
            self._waiting = True

    def _interrupt(self, *_: object) -> None:
        """End it. In the middle of a line, that waits: what an interrupt keeps from being flushed, and what
        it does not, nobody knows."""
        self._interrupted = True
        if self._waiting:
            raise KeyboardInterrupt

    def _closing_lines(self) -> Iterator[str]:
        decoder = self._decoder
        total = decoder.messages + decoder.undecodable
        text = plural(total, "datagram")
        if decoder.undecodable:
            text += f" ({decoder.undecodable} undecodable)"
        if self._last_ns or self._first_ns:
            length = format_duration((self._last_ns - self._first_ns) / 1e9)
            text += f", in {length} from {_date(self._first_ns)} on"
        yield text
        skipped = [*decoder.skipped.items(), *self._datagrams.skipped.items()]
        if skipped:
            yield f"left out: {', '.join(f'{count} {why}' for why, count in skipped)}"


def _date(time_ns: int) -> str:
    """``2026-05-01 12:00:00.250000 UTC``; seconds, where no calendar reaches."""
    try:
        moment = dt.datetime.fromtimestamp(time_ns // 1_000_000_000, dt.UTC)
    except (OverflowError, ValueError, OSError):
        return f"{time_ns / 1e9:.6g} s after 1970"
    return f"{moment:%Y-%m-%d %H:%M:%S}.{time_ns % 1_000_000_000 // 1000:06} UTC"
