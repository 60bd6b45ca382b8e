"""JSON for a terminal: in ASCII, so that nothing in it is shown by an escape that JSON does not have."""

from __future__ import annotations

import re

NO_ASCII = re.compile("[^ -~]")


def ascii_json(text: str) -> str:
    """`text`, which is JSON on one line, with all that is not ASCII as JSON's own escapes."""
    return NO_ASCII.sub(_escaped, text)


def _escaped(character: re.Match[str]) -> str:
    units = character[0].encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))
