"""A small protocol with state, in as many ways as a test wants it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

HEAD = """
from construct import Byte, Default, Enum, GreedyBytes

from iotsim import FlatStruct, Protocol, Session, Table, Unanswered, Value, Duration

MESSAGE = FlatStruct(
    "kind" / Enum(Byte, PUT=1, GET=2, ACK=3, REGISTER=4, BAD=5),
    "number" / Default(Byte, 0),
    "data" / Default(GreedyBytes, b""),
)
"""
FOOT = """

PROTOCOL = Protocol(
    "talk", MESSAGE, 5000, summary="{kind} {number}", session=Talk, model=globals().get("Model")
)
"""


def write_protocol(folder: Path, session: str) -> None:
    """Write ``talk.py``; `session` is the source of its class Talk, and perhaps of one Model."""
    (folder / "talk.py").write_text(HEAD + session + FOOT)
