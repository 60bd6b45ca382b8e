"""What GitHub Actions shows of results: annotations at lines of files, and the summary of a step.

An annotation is a command in the log (``::error file=…,line=…,title=…::message``), with the escapes that the
runner's own toolkit uses (``escapeData`` and ``escapeProperty`` of @actions/core). A summary is Markdown; all
of what is not ours stands in it as HTML, escaped, in blocks without empty lines, where Markdown is not
read: no name, and nothing that a gateway prints, becomes markup there.
"""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING, Literal, NamedTuple

from iotsim.expect.text import clip, plural
from iotsim.results.result import title_of
from iotsim.results.summary import summarize
from iotsim.results.verdict import Verdict
from iotsim.safetext import safe_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from iotsim.results.context import ContextLine
    from iotsim.results.result import RunResult
    from iotsim.results.summary import Row, Summary

Level = Literal["error", "warning", "notice"]
MESSAGE_CHARACTERS = 4000
MOST_OF_A_LEVEL = 10
"""The runner takes at most this many annotations of a level from a step, and silently drops the rest."""
MOST_ROWS = 200
"""A run's table has at most this many expectations, those that did not hold first."""
FEW_ROWS = 20
"""The same, where there is no room for more."""
SUMMARY_BYTES = 1 << 20
"""A step's summary that is larger is not shown at all."""
ENDING_BYTES = 1000
"""This much of it is left to say what was left out."""
SIGNS = {"passed": "✅", "failed": "❌", "error": "❌", "skipped": "⏭️"}
OTHER_SIGN = "⚠️"
_PLACE = re.compile(
    r"(?P<file>[^\n]+?):(?P<line>[1-9][0-9]{0,8})(?::[0-9]+)?(?:: (?P<text>.*))?", re.DOTALL
)


class Entry(NamedTuple):
    """A run for the summary. ``folder`` is where its results are, as text; ``context`` are the messages
    around its failures, as `iotsim.results.context.device_context` gives them; ``repetition`` is which it
    was of several of the same (from 1), 0 if it was the only one."""

    result: RunResult
    folder: str = ""
    context: Mapping[str, Sequence[ContextLine]] | None = None
    repetition: int = 0


class Annotation(NamedTuple):
    """``file`` is relative to the root of the repository, "" for none; ``line`` counts from 1, 0 for none."""

    level: Level
    title: str
    message: str
    file: str = ""
    line: int = 0

    def __str__(self) -> str:
        properties = {"file": self.file, "line": str(self.line or "") if self.file else ""}
        properties["title"] = safe_line(self.title)
        written = ",".join(f"{name}={_property(text)}" for name, text in properties.items() if text)
        return f"::{self.level} {written}::{_data(clip(self.message, MESSAGE_CHARACTERS))}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def annotations_of(
    entries: Iterable[Entry], in_repository: Callable[[str], str]
) -> list[Annotation]:
    """One for each expectation that did not hold, at its place, and for each run that failed by
    something else. `in_repository`: path -> the same, relative to the root of the repository, or "" if it is
    not in there.

    No more than the runner takes: the last of a level tells how many there are besides.
    """
    found = [one for entry in entries for one in _of_run(entry, in_repository)]
    kept: list[Annotation] = []
    for level in ("error", "warning", "notice"):
        those = [one for one in found if one.level == level]
        if len(those) > MOST_OF_A_LEVEL:
            left = len(those) - MOST_OF_A_LEVEL + 1
            told = f"{left} more are in the log and in the summary of the step."
            those = [
                *those[: MOST_OF_A_LEVEL - 1],
                Annotation(those[0].level, f"{left} more", told),
            ]
        kept += those
    return kept


def _of_run(entry: Entry, in_repository: Callable[[str], str]) -> list[Annotation]:
    result = entry.result
    summary = summarize(result)
    name, found = _name(entry), []
    for row, expectation in zip(summary.rows, result.expectations, strict=True):
        if row.state == "passed":
            continue
        file, line, _ = _split(expectation.place)
        level: Level = "warning" if row.state == "warning" else "error"
        message = "\n".join(f"{label}: {text}" for label, text in row.facts)
        message += f"\nrepeat: {summary.repeat}" if summary.repeat else ""
        found.append(_placed(level, f"{name}: {row.name}", message, file, line, in_repository))
    if result.verdict != Verdict.PASSED and not any(one.level == "error" for one in found):
        file, line, told = _split(result.reason)
        if not line or not in_repository(file):  # a reason without a place could be any name
            file, line, told = result.path, 1, result.reason
        level = "warning" if result.verdict == Verdict.SKIPPED else "error"
        message = safe_line(told or result.reason or result.verdict)
        message += f"\nrepeat: {summary.repeat}" if summary.repeat else ""
        title = f"{name}: {result.verdict}"
        found.append(_placed(level, title, message, file, line, in_repository))
    return found


def _name(entry: Entry) -> str:
    """What tells the run from others: of a matrix, or with repetitions, there are several of one scenario."""
    again = f" #{entry.repetition}" if entry.repetition else ""
    return safe_line(title_of(entry.result.scenario, entry.result.parameters) + again)


def _placed(
    level: Level,
    title: str,
    message: str,
    file: str,
    line: int,
    in_repository: Callable[[str], str],
) -> Annotation:
    known = in_repository(file) if file else ""
    return Annotation(level, title, message, known, line if known else 0)


def _split(place: str) -> tuple[str, int, str]:
    """The file, the line, and what is said of them, of ``file:line`` or ``file:line:column: text``."""
    match = _PLACE.fullmatch(place)
    return (match["file"], int(match["line"]), match["text"] or "") if match else (place, 0, "")


# --- the summary ------------------------------------------------------------------------------


def step_summary(entries: Sequence[Entry], room: int = SUMMARY_BYTES) -> str:
    """The Markdown of all runs, in at most `room` bytes: first those that did not pass, each with its
    failures explained, as far as there is room. "" where there is none at all."""
    ordered = sorted(entries, key=lambda entry: entry.result.verdict == Verdict.PASSED)
    parts = [_headline(entries)]
    if len(entries) > 1:
        parts.append(_table_of_runs(ordered, room // 2))
    size = len("".join(parts).encode()) + ENDING_BYTES
    if size > room:
        return _headline(entries) if len(_headline(entries).encode()) <= room else ""
    left = 0
    for entry in ordered:
        if entry.result.verdict == Verdict.PASSED and len(entries) > 1:
            continue
        if left:  # in their order: what comes first is told, and the rest counted
            left += 1
            continue
        summary = summarize(entry.result, entry.context)
        for most_rows in (MOST_ROWS, FEW_ROWS):
            text = _run(entry, summary, most_rows)
            if size + len(text.encode()) <= room:
                parts.append(text)
                size += len(text.encode())
                break
        else:
            left += 1
    if left:
        parts.append(f"\n<p>There is no room here for {plural(left, 'more run')}.</p>\n")
    return "".join(parts)


def _headline(entries: Sequence[Entry]) -> str:
    verdicts = [entry.result.verdict for entry in entries]
    if len(verdicts) == 1:
        return f"## {_sign(verdicts[0])} iotsim: {_text(verdicts[0])}\n"
    names = [*dict.fromkeys([*Verdict, *verdicts])]
    counts = ", ".join(f"{verdicts.count(v)} {_text(v)}" for v in names if v in verdicts)
    gravest = next((v for v in names if v in verdicts and v != Verdict.PASSED), "passed")
    return f"## {_sign(gravest)} iotsim: {counts}\n"


def _table_of_runs(entries: Sequence[Entry], room: int) -> str:
    rows, size = [], 0
    for number, entry in enumerate(entries):
        result = entry.result
        held = sum(one.passed for one in result.expectations)
        told = f"{held} of {len(result.expectations)}" if result.expectations else "none decided"
        row = (
            f"<tr><td>{_sign(result.verdict)} {_text(result.verdict)}</td>"
            f"<td><code>{_text(_name(entry))}</code></td>"
            f"<td><code>{_text(result.path)}</code></td>"
            f"<td>{told}</td><td>{result.duration_s:.1f} s</td></tr>"
        )
        size += len(row.encode())
        if size > room:
            rows.append(f"<tr><td colspan=5>and {len(entries) - number} more</td></tr>")
            break
        rows.append(row)
    titles = ("verdict", "scenario", "file", "held", "time")
    head = f"<tr>{''.join(f'<th>{title}</th>' for title in titles)}</tr>"
    return "\n" + "\n".join(["<table>", head, *rows, "</table>"]) + "\n"


def _run(entry: Entry, summary: Summary, most_rows: int) -> str:
    result = entry.result
    lines = [f"<h3>{_sign(result.verdict)} <code>{_text(_name(entry))}</code></h3>"]
    facts = f"{result.verdict}, seed {result.seed}, {result.duration_s:.1f} s"
    lines.append(f"<p>{_text(facts)}, <code>{_text(result.path)}</code></p>")
    if summary.reason:
        lines.append(f"<p><code>{_text(summary.reason)}</code></p>")
    lines += [f"<p><code>{_text(note)}</code></p>" for note in summary.notes]
    if summary.rows:
        lines += _table_of_expectations(summary.rows, most_rows)
    explained = [row for row in summary.rows if row.facts][:most_rows]
    if explained or summary.gateway_lines:
        lines.append("<pre>")
        for row in explained:
            lines += [_text(line) for line in _explanation(row)]
        if summary.gateway_lines:
            lines.append("the gateway's last lines:")
            lines += [f"  | {_text(line)}" for line in summary.gateway_lines]
        lines.append("</pre>")
    if summary.repeat:
        lines.append(f"<p>Again: <code>{_text(summary.repeat)}</code></p>")
    if entry.folder:
        lines.append(f"<p>Results: <code>{_text(entry.folder)}</code></p>")
    return "\n" + "\n".join(lines) + "\n"


def _table_of_expectations(rows: Sequence[Row], most: int) -> list[str]:
    shown = sorted(rows, key=lambda row: row.state == "passed")[:most]
    lines = ["<table>", "<tr><th></th><th>expectation</th><th>what came of it</th></tr>"]
    for row in shown:
        told = row.told or dict(row.facts).get("actual", "")
        lines.append(
            f"<tr><td>{_sign(row.state)} {_text(row.state)}</td>"
            f"<td><code>{_text(row.name)}</code></td><td><code>{_text(told)}</code></td></tr>"
        )
    if len(rows) > most:
        lines.append(f"<tr><td colspan=3>and {len(rows) - most} more</td></tr>")
    return [*lines, "</table>"]


def _explanation(row: Row) -> list[str]:
    lines = [f"{row.state}  {row.name}"]
    lines += [f"    {label:<10} {text}" for label, text in row.facts]
    for device, context in row.context:
        lines.append(f"    around {device}")
        lines += [f"      {line}" for line in context]
    return lines


def _sign(verdict: str) -> str:
    return SIGNS.get(verdict, OTHER_SIGN)


def _text(text: str) -> str:
    """`text` of others as one line of HTML."""
    return html.escape(safe_line(text)) or "&nbsp;"
