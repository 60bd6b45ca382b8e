"""Writes what is made from the records of results: the schemas that `iotsim schema` prints, and the tables of
docs/results.md. Call it from the top of a clone, after a change of these records.

.venv/bin/python docs/reference.py
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from iotsim import events
from iotsim.results import formats, result, suite

REPOSITORY = Path(__file__).parents[1]
PAGE = REPOSITORY / "docs/results.md"
SCHEMAS = REPOSITORY / "src/iotsim/results"
BEGIN = "<!-- made by docs/reference.py: {} -->\n"
END = "<!-- made until here -->\n"
PARTS = {
    "events": [*formats.kinds().values(), events.Unmatched],
    "result": [
        result.RunResult,
        events.Outcome,
        events.GatewayResult,
        events.GatewayLife,
        events.GatewayFigures,
    ],
    "suite": [suite.SuiteResult, suite.SuiteRun],
}


def main() -> None:
    for name, text in schemas().items():
        (SCHEMAS / name).write_text(text)
    PAGE.write_text(page(PAGE.read_text()))


def schemas() -> dict[str, str]:
    """Name of a file -> what is to stand in it."""
    made = {
        formats.EVENTS_FILE: formats.events_schema(),
        formats.RESULT_FILE: formats.result_schema(),
        formats.SUITE_FILE: formats.suite_schema(),
    }
    return {
        name: json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
        for name, schema in made.items()
    }


def page(text: str) -> str:
    """The page with its parts made anew."""
    for name, records in PARTS.items():
        begin = BEGIN.format(name)
        head, found, rest = text.partition(begin)
        if not found:
            raise ValueError(f"the page has no {begin}")
        _, _, tail = rest.partition(END)
        text = "".join([head, begin, *map(section, records), "\n", END, tail])
    return text


def section(record: Any) -> str:
    """What there is to say of one record."""
    tag = record.__struct_config__.tag
    lines = ["", f"### {tag or record.__name__}", "", formats.said_of(record)]
    told = formats.fields_of(record)
    if told:
        lines += ["", "| field | type | what it is |", "| --- | --- | --- |"]
        lines += [f"| `{one.name}` | {type_cell(one)} | {cell(one.meaning)} |" for one in told]
    return "\n".join(lines).replace("``", "`") + "\n"


def type_cell(told: formats.Told) -> str:
    """The type, with links to the records that it names."""
    return re.sub(r"\b([A-Z]\w+)", lambda match: f"[{match[1]}](#{match[1].lower()})", told.type)


def cell(text: str) -> str:
    return text.replace("|", r"\|")


if __name__ == "__main__":
    main()
