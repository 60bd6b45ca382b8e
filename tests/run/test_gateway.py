from __future__ import annotations

from typing import TYPE_CHECKING, cast

from iotsim.events import Event, GatewayOutput, Note
from iotsim.run.gateway import MOST_LINES, Gateway, locate
from iotsim.scenario.model import GatewaySpec

if TYPE_CHECKING:
    from pathlib import Path

    from iotsim.run.files import AppendFile


async def test_a_flood_of_lines_does_not_become_a_flood_of_events() -> None:
    events: list[Event] = []
    now = 0.0
    heard: list[str] = []
    gateway = Gateway(
        GatewaySpec(("yes",)),
        emit=events.append,
        clock=lambda: now,
        log=cast("AppendFile", None),
        on_line=lambda line, _t: heard.append(line),
    )
    for _ in range(3 * MOST_LINES):
        gateway._line(b"y")
    now = 1.5
    gateway._line(b"at last")
    told = [event for event in events if isinstance(event, GatewayOutput)]
    assert len(told) == MOST_LINES + 1
    assert told[-1].line == "at last"
    (note,) = [event for event in events if isinstance(event, Note)]
    assert note.text.startswith(f"{2 * MOST_LINES} lines")
    assert len(heard) == 3 * MOST_LINES + 1  # expectations see every line


def test_files_of_a_command_are_found_beside_the_scenario(tmp_path: Path) -> None:
    beside = tmp_path / "beside"
    beside.mkdir()
    (beside / "gateway.py").write_text("")
    folders = [tmp_path, beside]
    assert locate("gateway.py", folders) == str(beside / "gateway.py")
    for word in ("python3", "--flag", "/bin/sh", "missing.py", "", "x" * 5000 + "/y"):
        assert locate(word, folders) == word
