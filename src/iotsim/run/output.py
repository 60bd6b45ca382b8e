"""What a gateway prints, as lines of plain text.

A program that finds a terminal colors its output, moves the cursor and sets titles. What is matched and
reported is what remains to be read of it, as `cat` shows it on a terminal: without control sequences
(ECMA-48, sections 5 and 8.3) and other control characters. As in Python's universal newlines a line ends
with CR, LF or both, so that each state of a progress bar is a line.
"""

from __future__ import annotations

import codecs
import re

LINE_CHARACTERS = 4096
"""A longer line is cut into lines of this length."""
_SEQUENCE = re.compile(
    # A control sequence: parameters, intermediates, and a final character, such as that of a color.
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*([@-~])?"
    # A control string, such as a title or a link, up to BEL, or to what follows it: ST, a line's end.
    r"|(?:\x1b[]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c\r\n]*(\x07)?"
    # Any other escape sequence, ST among them.
    r"|\x1b[ -/]*([0-~])?"
)
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_LINE_END = re.compile(r"\r+\n?|\n")


class OutputText:
    """Turns chunks of output into lines. Memory is bounded, time grows with what comes."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._held = ""
        """The introducer of a sequence that has not ended yet; what follows it is left out anyway."""
        self._line = ""

    @property
    def unfinished(self) -> str:
        """What was printed since the last line ended: a prompt, perhaps."""
        return self._line.removesuffix("\r")

    def feed(self, chunk: bytes) -> list[str]:
        """The lines that `chunk` completes."""
        return self._take(self._decoder.decode(chunk))

    def end(self) -> list[str]:
        """The output has ended: what is left is a line, too."""
        lines = self._take(self._decoder.decode(b"", final=True))
        if self.unfinished:
            lines.append(self.unfinished)
        self._line = ""
        return lines

    def _take(self, text: str) -> list[str]:
        lines: list[str] = []
        rest = self._line + _CONTROL.sub("", self._without_sequences(self._held + text))
        begin, half_end = 0, ""
        for match in _LINE_END.finditer(rest):
            if match.end() == len(rest) and not match[0].endswith("\n"):
                half_end = "\r"  # the rest of this line end may still come
                rest = rest[: match.start()]
                break
            lines += _cut(rest[begin : match.start()])
            begin = match.end()
        *full, last = _cut(rest[begin:])
        self._line = last + half_end
        return lines + full

    def _without_sequences(self, text: str) -> str:
        self._held = ""
        kept: list[str] = []
        begin = 0
        for match in _SEQUENCE.finditer(text):
            kept.append(text[begin : match.start()])
            begin = match.end()
            if begin == len(text) and match.lastindex is None:
                self._held = match[0][: 2 if match[0].startswith("\x1b") else 1]
        kept.append(text[begin:])
        return "".join(kept)


def _cut(line: str) -> list[str]:
    """`line` in pieces of at most `LINE_CHARACTERS`; one, perhaps empty, if it is short enough."""
    starts = range(0, len(line), LINE_CHARACTERS) if line else [0]
    return [line[start : start + LINE_CHARACTERS] for start in starts]
