"""The few exceptions of iotsim. Each one says whose fault it is.

=====================  ==========================================  =======
exception              whose fault                                 verdict
=====================  ==========================================  =======
`ScenarioError`        the scenario file's (or what it names)      error
`ProtocolError`        a protocol file's                           error
`DecodeError`          the sender's of a datagram                  none: an event and a counter
`EncodeError`          a rule's or a behavior's                    error
`ExpressionError`      a scenario's expression                     error
`MachineError`         this machine's: no TUN, no privilege        skipped
=====================  ==========================================  =======

Anything else that escapes is our own bug, and is reported as one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from iotsim.safetext import safe_line

if TYPE_CHECKING:
    from collections.abc import Iterable


class IotsimError(Exception):
    """What all exceptions of iotsim have in common."""


def in_one_line(error: BaseException, *, named: bool = True) -> str:
    """What went wrong, for people: the first line of what `error` says, behind the name of its class, if it
    is to be `named` and is not one of iotsim's, which are written for people."""
    name = "" if isinstance(error, IotsimError) or not named else type(error).__name__
    first = next(iter(str(error).strip().splitlines()), "")
    return f"{name}: {first}" if name and first else first or type(error).__name__


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a file of the user's.

    ``line`` and ``column`` count from 1; 0 means unknown. ``path`` is the key path inside the
    file (``devices.meter.rules[0].when.kind``). ``hint`` says what was probably meant. As text it is
    one line, whatever the file's own names hold.
    """

    message: str
    file: str = ""
    line: int = 0
    column: int = 0
    path: str = ""
    hint: str = ""

    def __str__(self) -> str:
        place = self.file
        if self.line:
            place += f":{self.line}:{self.column}" if self.column else f":{self.line}"
        parts = [part for part in (place, self.path, self.message) if part]
        text = ": ".join(parts)
        return safe_line(f"{text} ({self.hint})" if self.hint else text)


class ScenarioError(IotsimError):
    """A scenario cannot be used. Carries every problem that was found, not only the first."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


class ProtocolError(IotsimError):
    """A protocol file cannot be used."""


class DecodeError(IotsimError):
    """Bytes that are no message of the protocol.

    ``path`` is the dotted field at which decoding stopped ("" for the message as a whole) and
    ``offset`` the number of bytes that precede the trouble, or None where it is not known.
    """

    def __init__(self, reason: str, path: str = "", offset: int | None = None) -> None:
        self.reason = reason
        self.path = path
        self.offset = offset
        where = f"{path}: " if path else ""
        at = "" if offset is None else f" (at byte {offset})"
        super().__init__(f"{where}{reason}{at}")


class EncodeError(IotsimError):
    """Fields of which no message of the protocol can be made; ``path`` as in `DecodeError`."""

    def __init__(self, reason: str, path: str = "") -> None:
        self.reason = reason
        self.path = path
        super().__init__(f"{path}: {reason}" if path else reason)


class ExpressionError(IotsimError):
    """An expression cannot be compiled, or failed as it was evaluated.

    ``text`` is the expression, ``hint`` what was probably meant. ``absent`` is the dotted path of
    the message's field whose absence made it fail, "" for any other cause. ``column`` is where in the
    text it is wrong, from 1; 0 where that is not known, as of what failed only when it was evaluated.
    """

    def __init__(
        self, reason: str, text: str, *, hint: str = "", absent: str = "", column: int = 0
    ) -> None:
        self.reason = reason
        self.text = text
        self.hint = hint
        self.absent = absent
        self.column = column
        super().__init__(f"{reason}, in '={text}'")


class MachineError(IotsimError):
    """This machine cannot do what a run needs; ``fix`` is the line that would change that.

    ``of_link`` tells that another kind of link might do without.
    """

    of_link = True

    def __init__(self, reason: str, fix: str = "") -> None:
        self.reason = reason
        self.fix = fix
        super().__init__(f"{reason}\n  fix: {fix}" if fix else reason)
