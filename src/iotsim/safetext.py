"""Text of others, made safe to show: in a terminal, in XML, on a page.

A scenario's names, what a gateway prints, the fields of a datagram and the words of an exception may
hold anything: escape sequences that redraw a terminal, marks that turn the direction of writing so
that a line reads as another, characters that no XML may hold. Each such character is shown by its
escape as Python writes it (``\\x1b``, ``\\u202e``, ``\\t``); every other one, of whatever script, stays.
A backslash stays too: this is for reading, not for reading back.
"""

from __future__ import annotations

import re

# Control characters (C0, DEL, C1), those that are invisible or turn the direction of writing (Unicode's
# category Cf, but for the few that show as a sign), the two separators that end a line, and what is no
# character: lone surrogates, and what XML 1.0 (section 2.2, production Char) has no place for.
_UNSAFE = (
    "\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff"
    "\ufeff\ufff9-\ufffb\ufffe\uffff\U0001d173-\U0001d17a\U000e0000-\U000e007f"
)
# Compiled when they are first used: that takes longer than most modules take to import.
_IN_TEXT = f"(?!\n)[{_UNSAFE}]"
_IN_LINE = f"[{_UNSAFE}]"


def safe_text(text: str) -> str:
    """`text`, of whose control characters only newlines are left."""
    return re.sub(_IN_TEXT, _escape, text)


def safe_line(text: str) -> str:
    """`text` as one line: its newlines are escaped, too."""
    return re.sub(_IN_LINE, _escape, text)


def _escape(character: re.Match[str]) -> str:
    return character[0].encode("unicode_escape").decode("ascii")


def safe_json(text: str) -> str:
    """JSON `text` in which everything but printable ASCII and newlines is escaped as JSON has it, so that
    it is safe to show, and JSON still.

    So are the signs before a bracket that give orders anywhere in a line of a log of GitHub Actions.
    """
    return re.sub(r"[^ -~\n]|##(?=\[)", _json_escape, text)


def _json_escape(character: re.Match[str]) -> str:
    units = character[0].encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))
