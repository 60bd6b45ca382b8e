"""How far expectations are, in words, and the lines that show that."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from rich.cells import cell_len
from rich.text import Text

from iotsim.cli.figures import number
from iotsim.cli.page import squeeze
from iotsim.expect.text import plural
from iotsim.safetext import safe_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from iotsim.expect.standing import Standing

BAR_FROM_COLUMNS = 100
BAR_CELLS = 20
STATE_CELLS = 9
HEAD_CELLS = 2 + STATE_CELLS
GAP_CELLS = 2
NOUNS = {"device": "devices", "message": "messages", "part": "steps"}
STATES = ("failed", "pending", "waiting", "held")
"""In the order in which they are shown."""
STYLES = {"failed": "red", "pending": "", "waiting": "dim", "held": "green"}


def state_of(standing: Standing) -> str:
    """One of `STATES`."""
    if standing.verdict is None:
        return "waiting" if standing.after else "pending"
    return "held" if standing.verdict else "failed"


def standing_text(standing: Standing, t: float) -> str:
    """How far an expectation is, in words; "" where there is nothing to tell but its state."""
    held, broken, total = standing.held, standing.broken, standing.total
    if standing.after:
        return f"after '{safe_line(standing.after)}'"
    text = ""
    if standing.unit == "time":
        text = f"{number(held)} times measured"
    elif standing.keeps and standing.unit == "message":
        text = f"{plural(held, 'message')}, at most {number(total)}"
    elif standing.keeps and standing.unit == "device" and broken:
        text = f"{number(broken)} of {number(total)} devices broke it"
    elif standing.keeps and standing.verdict is None:
        text = "holds so far"
    elif standing.unit and total > 1:
        text = f"{number(held)} of {number(total)} {NOUNS[standing.unit]}"
        if broken:
            text += f", {number(broken)} failed"
    if standing.verdict is None and standing.due is not None and standing.due > t:
        left = f"{standing.due - t:.1f} s left"
        text = f"{text}, {left}" if text else left
    return text


def standing_lines(
    names: Sequence[str],
    standings: Sequence[Standing],
    t: float,
    columns: int,
    rows: int,
    *,
    signs: bool = True,
) -> list[Text]:
    """The expectations of these names at the time `t`, in at most so many columns and rows: those first that
    failed, then those that are open; what has no room is counted. `signs`: whether there may be more than
    ASCII."""
    ellipsis = "…" if signs else "..."
    known = [
        _Row(name, state_of(one), _told(one, t, columns, signs=signs))
        for name, one in zip(names, standings, strict=False)
    ]
    known.sort(key=lambda row: STATES.index(row.state))
    name_cells = _name_cells(known, columns)
    lines: list[Text] = []
    for number_before, row in enumerate(known):
        block = _row_lines(row, name_cells, columns, ellipsis)
        left = known[number_before:]
        if len(lines) + len(block) > rows - (len(left) > 1):
            states = [one.state for one in left]
            counts = (f"{states.count(s)} {s}" for s in STATES if s in states)
            more = f"  and {len(left)} more: {', '.join(counts)}"
            return [*lines, Text(squeeze(more, columns, ellipsis), "dim")] if rows > 0 else []
        lines += block
    return lines


class _Row(NamedTuple):
    name: str
    state: str
    told: str


def _told(standing: Standing, t: float, columns: int, *, signs: bool) -> str:
    """How far it is, with a bar where there is room for one."""
    text = standing_text(standing, t)
    counted = standing.total > 1 and not (standing.keeps or standing.after)
    if columns < BAR_FROM_COLUMNS or not counted or not text:
        return text
    return f"{_bar(standing.held / standing.total, signs=signs)}  {text}"


def _name_cells(rows: Sequence[_Row], columns: int) -> int:
    """How many columns names have, so that what is told of each begins at the same place."""
    room = columns - HEAD_CELLS
    ends = [
        cell_len(row.name)
        for row in rows
        if row.told and cell_len(row.name) + GAP_CELLS + cell_len(row.told) <= room
    ]
    longest = max((cell_len(row.told) for row in rows), default=0)
    return min(max(ends, default=0), max(0, room - GAP_CELLS - longest))


def _row_lines(row: _Row, name_cells: int, columns: int, ellipsis: str) -> list[Text]:
    head = Text.assemble("  ", (f"{row.state:<{STATE_CELLS}}", STYLES[row.state]))
    room = max(1, columns - HEAD_CELLS)
    name = squeeze(row.name, room, ellipsis)
    if not row.told:
        return [Text.assemble(head, name)]
    gap = max(GAP_CELLS, name_cells + GAP_CELLS - cell_len(name))
    if cell_len(name) + gap + cell_len(row.told) <= room:
        return [Text.assemble(head, name, " " * gap, (row.told, "dim"))]
    told = (squeeze(row.told, room, ellipsis), "dim")
    return [Text.assemble(head, name), Text.assemble(" " * HEAD_CELLS, told)]


def _bar(share: float, *, signs: bool) -> str:
    full = int(BAR_CELLS * min(1.0, share))
    done, rest = ("█", "░") if signs else ("#", ".")
    return done * full + rest * (BAR_CELLS - full)
