"""Text of others, made fit for a terminal and for XML.

What a gateway prints, or a device sends, may hold anything: escape sequences that would redraw a
terminal, characters that no XML may hold. They become U+FFFD, one each.
"""

from __future__ import annotations

import re

# What XML 1.0 (section 2.2, production Char) has no place for, and besides all other control
# characters: the C1 ones are commands to some terminals.
_UNFIT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_NOT_ONE_LINE = re.compile("[\t\n\r\u2028\u2029]+")
REPLACEMENT = "\ufffd"


def clean(text: str) -> str:
    """`text` without control characters other than tabs and newlines."""
    return _UNFIT.sub(REPLACEMENT, text)


def clean_line(text: str) -> str:
    """`text` as one line."""
    return _NOT_ONE_LINE.sub(" ", clean(text))
