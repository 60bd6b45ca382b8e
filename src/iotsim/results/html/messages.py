"""The second reading: the rows that were chosen, as the columns of the document's ``messages``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from iotsim.events import Received, Sent
from iotsim.results.html.rows import BROKE, FAILED_SESSION, NO_ROW, NO_RULE, WHATS
from iotsim.results.html.table import LARGEST_WHOLE, column, seconds, shown, shown_value, steps

if TYPE_CHECKING:
    from collections.abc import Mapping

    from iotsim.events import Event
    from iotsim.results.html.index import Index
    from iotsim.results.html.rows import Rows
    from iotsim.results.html.table import Strings

MOST_SHAPES = 1000
MOST_FIELDS = 300
WHOLE_MESSAGE = ("(message)",)
"""The fields of a message of a shape too many: it is one value."""
COLUMNS = (
    *("t", "what", "id", "device", "peer", "protocol", "kind", "reply", "layer"),
    *("impaired", "fate", "delay", "text", "shape"),
)


class Shapes:
    """Messages of the same fields, with a column for each field."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[str, ...], int] = {}
        self._columns: list[list[list[Any]]] = []
        self._texts: dict[str, str] = {}
        """Each that was ever there: most are there again and again, and each time in memory of its own."""

    def add(self, message: Mapping[str, Any]) -> int:
        """Put `message` into its shape; the number of that."""
        fields = tuple(message)
        if fields not in self._numbers and (
            len(fields) > MOST_FIELDS or len(self._numbers) >= MOST_SHAPES
        ):
            fields, message = WHOLE_MESSAGE, {WHOLE_MESSAGE[0]: message}
        number = self._numbers.setdefault(fields, len(self._columns))
        if number == len(self._columns):
            self._columns.append([[] for _ in fields])
        for values, value in zip(self._columns[number], message.values(), strict=True):
            one = shown_value(value)
            values.append(self._texts.setdefault(one, one) if one.__class__ is str else one)
        return number

    def told(self) -> list[dict[str, Any]]:
        """The document's ``shapes``."""
        return [
            {"fields": list(map(shown, fields)), "columns": list(map(column, columns))}
            for fields, columns in zip(self._numbers, self._columns, strict=True)
        ]


class Messages:
    """Rows with all that is known of them, in the order in which they are added."""

    def __init__(self, index: Index, strings: Strings) -> None:
        self.shapes = Shapes()
        self.number_of: dict[int, int] = {}
        """Rows of the index -> rows here."""
        self._index = index
        self._strings = strings
        self._columns: dict[str, list[Any]] = {name: [] for name in COLUMNS}
        self._ids: dict[int, int] = {}
        self._kinds = [strings[kind] for kind in index.kinds]

    @property
    def rows(self) -> Rows:
        """All rows that there are."""
        return self._index.rows

    def __len__(self) -> int:
        return len(self.number_of)

    def add(self, row: int, event: Event) -> None:
        """Add the `row` of the index, which `event` is."""
        rows, strings = self._index.rows, self._strings
        here = len(self.number_of)
        what = rows.whats[row]
        layer = fate = impaired = text = ""
        shape = NO_ROW
        delay = 0.0
        asked = self.number_of.get(rows.asked[row], NO_ROW)
        own_id = getattr(event, "id", 0)
        source: Any = event
        if isinstance(event, Received | Sent):
            layer, impaired, fate, delay = event.layer, event.impaired, event.fate, event.delay_s
            shape = self.shapes.add(event.message)
            if asked == NO_ROW and isinstance(event, Sent) and event.in_reply_to:
                asked = self._ids.get(event.in_reply_to, NO_ROW)
        else:
            source = event.unmatched if what == NO_RULE else event  # type: ignore[attr-defined]
            impaired, fate = getattr(event, "impaired", ""), getattr(event, "fate", "")
            delay, text = getattr(event, "delay_s", 0.0), _text(what, source)
            if (message := getattr(event, "message", None)) is not None:
                shape = self.shapes.add(message)
        self.number_of[row] = here
        if own_id:
            self._ids[own_id] = here
        add = self._columns
        add["t"].append(round(rows.times[row] * 1e6))
        add["what"].append(what)
        add["id"].append(own_id if -LARGEST_WHOLE <= own_id <= LARGEST_WHOLE else 0)
        add["device"].append(strings[getattr(source, "device", "")])
        add["peer"].append(strings[getattr(source, "peer", "")])
        add["protocol"].append(strings[getattr(source, "protocol", "")])
        add["kind"].append(self._kinds[rows.kinds[row]])
        add["reply"].append(asked)
        add["layer"].append(strings[layer])
        add["impaired"].append(strings[impaired])
        add["fate"].append(strings[fate])
        add["delay"].append(seconds(delay))
        add["text"].append(strings[text])
        add["shape"].append(shape)

    def told(self) -> dict[str, Any]:
        """The document's ``messages``, but for what says which were chosen."""
        columns = dict(self._columns)
        for name in ("t", "id"):
            columns[name] = steps(columns[name])
        rows, here = self._index.rows, self.number_of
        return {
            "count": len(self),
            "total": len(rows),
            "columns": {name: column(values) for name, values in columns.items()},
            "whats": list(WHATS),
            "inferred": [
                [here[answer], here[asked]]
                for answer, asked in zip(rows.guess_rows, rows.guess_asked, strict=True)
                if answer in here and asked in here
            ],
        }


def _text(what: int, event: Any) -> str:
    """What there is to say of something that is no plain message."""
    if what == NO_RULE:
        return f"{event.kind}: {event.nearest}" if event.nearest else str(event.kind)
    if what in (BROKE, FAILED_SESSION):
        return str(event.error)
    reason = str(getattr(event, "reason", ""))
    where = getattr(event, "path", "")
    return f"{reason} (at {where})" if where else reason
