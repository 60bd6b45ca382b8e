"""Classes of sessions, as a protocol's file has them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.session.helpers import HEAD, write_protocol

from iotsim.errors import ProtocolError
from iotsim.protocol.registry import load_protocol

if TYPE_CHECKING:
    from pathlib import Path

LINE = HEAD.count("\n") + 1


@pytest.mark.parametrize(
    ("methods", "told"),
    [
        ("async def receive(self, message, peer): ...", "receive.. is an 'async def'"),
        ("async def refuse(self, datagram, error, peer): ...", "refuse.. is an 'async def'"),
        ("async def respond(self, message, peer): ...", "respond.. is an 'async def'"),
        (
            "async def respond(self, message, peer):\n        yield {}",
            "respond.. is an 'async def'",
        ),
        ("async def reply(self, message, exchange): ...", "reply.. is an 'async def'"),
        ("async def submit(self, message, peer, ticket): ...", "submit.. is an 'async def'"),
        (
            "@classmethod\n    async def check(cls, message, model): ...",
            "check.. is an 'async def'",
        ),
        ("def receive(self, message, peer):\n        yield", "receive.. is a generator"),
    ],
)
def test_a_method_that_nobody_awaits_is_refused(tmp_path: Path, methods: str, told: str) -> None:
    write_protocol(tmp_path, f"class Talk(Session):\n    {methods}\n")
    with pytest.raises(ProtocolError, match=rf"talk\.py:{LINE}: TypeError: Talk\.{told}"):
        load_protocol("talk", [tmp_path])


def test_so_is_one_that_is_inherited_from_beside(tmp_path: Path) -> None:
    beside = "class Beside:\n    async def submit(self, message, peer, ticket): ...\n"
    write_protocol(tmp_path, f"{beside}class Talk(Beside, Session): ...\n")
    with pytest.raises(ProtocolError, match=rf"talk\.py:{LINE + 2}: TypeError: Talk\.submit"):
        load_protocol("talk", [tmp_path])
