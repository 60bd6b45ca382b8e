"""TAP, the Test Anything Protocol, version 14: a line for each case, and what there is to say of it as YAML.

The run of a scenario is one document. Of several, each is a subtest of one document, in which it has a test
point. A case that is no success but fails nothing (severity "warning") is a TODO, which is TAP's word for it.

Nothing can be injected. A description has no ends of lines, its ``#`` are escaped, and behind one the
words TODO and SKIP have a quotation mark: readers of older versions know no escapes, and would take a failure
of such a name for none. Each value of the YAML is a double-quoted scalar on one line, written as a JSON
string, of which YAML 1.2 is a superset.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from iotsim.safetext import safe_line, safe_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from iotsim.results.cases import Case, Suite

VERSION = "TAP version 14"
INDENT = "    "
LONGEST_LINE = 2_000
LONGEST_TEXT = 100_000
_DIRECTIVE = re.compile(r"#(\s*)(?=todo|skip)", re.IGNORECASE)


def encode_tap(suites: Sequence[Suite]) -> bytes:
    """The document of one suite, or one of several as its subtests."""
    lines = [VERSION]
    if len(suites) == 1:
        lines += _document(suites[0])
    else:
        lines.append(f"1..{len(suites)}" if suites else "1..0 # no scenarios")
        for number, suite in enumerate(suites, start=1):
            name = _described(suite.name)
            lines.append(f"# Subtest: {name}")
            lines += [f"{INDENT}{line}" for line in _document(suite)]
            failed = any(case.state in ("failure", "error") for case in suite.cases)
            skipped = suite.cases and all(case.state == "skipped" for case in suite.cases)
            status = "not ok" if failed else "ok"
            lines.append(f"{status} {number} - {name}{' # SKIP' if skipped else ''}")
    return ("\n".join(lines) + "\n").encode()


def _document(suite: Suite) -> Iterator[str]:
    yield f"1..{len(suite.cases)}"
    for number, case in enumerate(suite.cases, start=1):
        failed = case.warning or case.state in ("failure", "error")
        line = f"{'not ok' if failed else 'ok'} {number} - {_described(case.name)}"
        if case.warning:
            line += " # TODO only a warning"
        elif case.state == "skipped":
            line += f" # SKIP {_described(case.message)}".rstrip()
        yield line
        yield from _diagnostics(case)


def _diagnostics(case: Case) -> Iterator[str]:
    """The YAML block of a case."""
    yield "  ---"
    yield f"  duration_ms: {1000 * case.seconds:.0f}"
    if case.file:
        yield "  at:"
        yield f"    file: {_quoted(case.file)}"
        if case.line:
            yield f"    line: {case.line}"
    if case.state != "passed" or case.warning:
        yield f"  severity: {_quoted('warning' if case.warning else case.state)}"
        if case.kind:
            yield f"  type: {_quoted(case.kind)}"
        yield f"  message: {_quoted(case.message)}"
        if case.text:
            yield f"  text: {_quoted(case.text)}"
        yield from (f"  {label}: {_quoted(text)}" for label, text in case.facts)
        if case.devices:
            yield "  devices:"
            # A mapping, since some readers take a quoted item of a list for one.
            told = dict(case.devices)
            yield from (f"    {_quoted(name)}: {_quoted(text)}" for name, text in told.items())
    yield "  ..."


def _described(text: str) -> str:
    """A description or a reason: one line, in which ``#`` and backslashes are escaped."""
    line = _DIRECTIVE.sub(r'#\1"', safe_line(text[:LONGEST_LINE]))
    return line.strip().replace("\\", "\\\\").replace("#", "\\#") or "without a name"


def _quoted(text: str) -> str:
    return json.dumps(safe_text(text[:LONGEST_TEXT]), ensure_ascii=False)
