"""`load`: the construct that a piece of source makes."""

from __future__ import annotations

from typing import Any

import construct as c
from tests.protocol.law import helpers

import iotsim

MAKERS: dict[str, Any] = {
    **{name: getattr(c, name) for name in dir(c) if not name.startswith("_")},
    **{name: getattr(helpers, name) for name in dir(helpers) if not name.startswith("_")},
    "FlatStruct": iotsim.FlatStruct,
    "Verified": iotsim.Checksum,
    "Length": iotsim.Length,
    "crc16": iotsim.crc16_ccitt,
    "sum8": iotsim.sum8,
}
"""The names that a schema's source may use."""


def load(source: str, names: Any = None) -> Any:
    """The construct that `source` makes, with some names replaced."""
    scope = {**MAKERS, **(names or {})}
    return eval(compile(source, "<schema>", "eval"), scope)
