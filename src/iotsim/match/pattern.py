"""Regular expressions of scenarios, searched for in time that grows with the text, whatever they are.

Python's own engine backtracks: ``(a+)+$`` takes it longer than a run on thirty characters, and
``a.*b`` seconds on a datagram of nothing but ``a``; meanwhile no other thread runs that could end it. Here
RE2 does the work, which walks the text once. What no such engine can do (look at what surrounds a
match, repeat what a group has matched) is refused, with what to write instead.

Alternatives considered: `re` with a check for expressions that may take exponential time, which
leaves those that take the square or the cube of a long text; the package `regex` with a timeout,
by which a verdict would depend on the speed of the machine.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

LONGEST = 1000
HINTS = (
    (r"\(\?<?[=!]", "RE2 has no look-around: match what is around, too, or use { not = … }"),
    (r"\(\?(P$|[>(#])|\\[1-9]", "RE2 has neither references to groups, conditions nor comments"),
    (r".*[*+?}][*+]", "one sign of repetition is enough: RE2 does not backtrack"),
    (r"\\Z", r"write \z"),
    (r"\\[uUN]", r"write the character itself, or its code as \x{20ac}"),
    (r"\(\?[a-z-]*[axLu]", "RE2 has the flags i, m, s and U"),
    (r"\{[0-9,]+\}", f"at most {LONGEST} repetitions, and fewer of what is long"),
)
"""What RE2 complains of, and what to do about it: the first that fits."""


class PatternError(ValueError):
    """What RE2 takes for no regular expression; ``hint`` as in `iotsim.errors.Problem`."""

    def __init__(self, reason: str, hint: str = "") -> None:
        self.hint = hint
        super().__init__(f"no regular expression: {reason}")


class Pattern:
    """A compiled regular expression in the syntax of RE2; PatternError if it is none.

    ``pattern`` is its text. ``search(text)`` tells whether it is found anywhere in `text`; it does
    not raise, and costs half a microsecond more than Python's own for a short text.
    """

    __slots__ = ("pattern", "search")

    def __init__(self, pattern: object) -> None:
        if not isinstance(pattern, str) or len(pattern) > LONGEST:
            raise PatternError(f"must be a text of at most {LONGEST} characters")
        self.pattern = pattern
        self.search = _compile(pattern)

    def __repr__(self) -> str:
        return f"Pattern({self.pattern!r})"


def _compile(pattern: str) -> Callable[[str], bool]:
    # Here, since few scenarios need it, and loading it takes 8 ms.
    import re2  # type: ignore[import-untyped]

    options = re2.Options()
    options.log_errors = False
    # A set of one: it only tells whether there is a match, which is faster than to tell where.
    found = re2.Set.SearchSet(options)
    try:
        encoded = pattern.encode()
        re2.compile(encoded, options)  # it tells what is wrong, which the set does not
        found.Add(encoded)
        found.Compile()
    except UnicodeEncodeError:
        raise PatternError("it has a lone surrogate") from None
    except re2.error as error:
        raise _refusal(error.args[0]) from None
    match = found.Match

    def search(text: str) -> bool:
        return match(text.encode("utf-8", "replace")) is not None

    return search


def _refusal(reason: bytes | str) -> PatternError:
    text = reason.decode(errors="replace") if isinstance(reason, bytes) else reason
    if text.startswith("failed to"):
        return PatternError("it is too large", "repeat less, or look for less")
    told, _, fragment = text.partition(": ")
    hint = next((hint for sign, hint in HINTS if re.match(sign, fragment)), "")
    return PatternError(f"{told}: {fragment}" if fragment else told, hint)
