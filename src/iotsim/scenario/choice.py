"""Which of many scenarios are meant: expressions over words, such as ``smoke and not slow``.

::

    choice   any {"or" any}
    any      not {"and" not}
    not      "not" not | "(" choice ")" | WORD

What a word means is up to whoever asks: a tag that is there, or a part of a name.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeAlias

from iotsim.match.fieldpath import nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

Means: TypeAlias = "Callable[[str], bool]"

_TOKEN = re.compile(r"\s*([()]|[^\s()]+)")
LONGEST = 1000
DEEPEST = 50


class Choice:
    """An expression; `holds` with what its words mean. ValueError if `text` is none."""

    def __init__(self, text: str) -> None:
        if len(text) > LONGEST:
            raise ValueError(f"longer than {LONGEST} characters")
        self.text = text
        self.words: set[str] = set()
        self._tokens = _TOKEN.findall(text)
        self._depth = 0
        self._holds = self._choice()
        if self._tokens:
            raise ValueError(f"{self._tokens[0]!r} is one too many: put and, or, not between words")

    def holds(self, means: Means) -> bool:
        return self._holds(means)

    def _choice(self) -> Callable[[Means], bool]:
        parts = [self._any()]
        while self._took("or"):
            parts.append(self._any())
        return lambda means: any(part(means) for part in parts)

    def _any(self) -> Callable[[Means], bool]:
        parts = [self._not()]
        while self._took("and"):
            parts.append(self._not())
        return lambda means: all(part(means) for part in parts)

    def _not(self) -> Callable[[Means], bool]:
        self._depth += 1
        if self._depth > DEEPEST:
            raise ValueError(f"nested more than {DEEPEST} deep")
        try:
            return self._single()
        finally:
            self._depth -= 1

    def _single(self) -> Callable[[Means], bool]:
        if self._took("not"):
            inner = self._not()
            return lambda means: not inner(means)
        if self._took("("):
            inner = self._choice()
            if not self._took(")"):
                raise ValueError("a parenthesis is not closed")
            return inner
        if not self._tokens or self._tokens[0] in ("and", "or", ")"):
            before = f" before {self._tokens[0]!r}" if self._tokens else " at its end"
            raise ValueError(f"a word is missing{before}")
        word = self._tokens.pop(0)
        self.words.add(word)
        return lambda means: means(word)

    def _took(self, token: str) -> bool:
        if self._tokens and self._tokens[0] == token:
            del self._tokens[0]
            return True
        return False


def unknown_words(choice: Choice, known: Collection[str]) -> dict[str, str]:
    """Those words of `choice` that nothing is called by, each with a hint what was probably meant."""
    return {word: nearest(word, known) for word in sorted(choice.words - set(known))}
