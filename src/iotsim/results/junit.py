"""JUnit XML: the common ground of what GitLab, Jenkins and readers on GitHub take.

A run is a ``testsuite``, each of its cases (`iotsim.results.cases`) a ``testcase``. There is no standard.
The strictest reader is Jenkins' xUnit plugin, which refuses what its schema (junit-10.xsd) does not have:
it gets a document without ``file`` and ``line`` of a testcase (``strict``), which GitLab shows and
mikepenz/action-junit-report makes annotations of. GitLab takes the first alone of several cases that have
the same classname and name, no file above 30 MB and, as libxml2 does, no text above 10 MB.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING

from iotsim.results.cases import LONGEST_S, RUN_CASE, Case, State, Suite, suite_of
from iotsim.safetext import safe_line, safe_text

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["RUN_CASE", "Case", "State", "Suite", "encode_junit", "suite_of"]

LONGEST_TEXT = 100_000
LONGEST_ATTRIBUTE = 2_000
LONGEST_NAME = 250
"""Characters of a name: of the columns in which test management systems keep it, the narrowest is 255."""
_CONVENTION = re.compile(r"\[\[(?=\s*[A-Za-z]+\s*[|\]])")
"""How output tells readers to attach files, or to set properties: for us to say, and not for a gateway."""


def encode_junit(suites: Sequence[Suite], *, strict: bool = False) -> bytes:
    """One document of all `suites`. No two cases of it have the same classname and name."""
    root = ET.Element("testsuites", _totals(*suites))
    if not strict:
        root.set("skipped", _skipped(*suites))
    taken: set[tuple[str, str]] = set()
    for suite in suites:
        name = _attribute(suite.name, LONGEST_NAME)
        totals = {**_totals(suite), "skipped": _skipped(suite)}
        element = ET.SubElement(root, "testsuite", {"name": name, **totals})
        if suite.timestamp:
            element.set("timestamp", safe_line(suite.timestamp))
        if suite.file:
            element.set("file", _attribute(suite.file))
        if suite.properties:
            properties = ET.SubElement(element, "properties")
            for key, value in suite.properties.items():
                ET.SubElement(properties, "property", name=_attribute(key), value=_attribute(value))
        for case in suite.cases:
            case_name = _distinct(name, _attribute(case.name, LONGEST_NAME), taken)
            _add_case(element, name, case_name, case, strict=strict)
        if suite.output:
            ET.SubElement(element, "system-out").text = _text(suite.output)
    ET.indent(root)
    return bytes(ET.tostring(root, encoding="utf-8", xml_declaration=True)) + b"\n"


def _add_case(parent: ET.Element, classname: str, name: str, case: Case, *, strict: bool) -> None:
    time = f"{case.seconds:.3f}"
    element = ET.SubElement(parent, "testcase", name=name, classname=classname, time=time)
    if case.file and not strict:
        element.set("file", _attribute(case.file))
        if case.line:
            element.set("line", str(case.line))
    output = [f"warning\n{case.details}"] if case.warning else []
    if case.state != "passed":
        attributes = {"message": _attribute(case.message)}
        if case.kind:
            attributes["type"] = _attribute(case.kind)
        ET.SubElement(element, case.state, attributes).text = _text(case.details)
    attached = [f"[[ATTACHMENT|{safe_line(path)}]]" for path in case.attached if "]]" not in path]
    if output or attached:
        text = "\n".join([*map(_text, output), *attached])
        ET.SubElement(element, "system-out").text = text


def _distinct(classname: str, name: str, taken: set[tuple[str, str]]) -> str:
    """`name`, with a number if there is a case of that name already."""
    found, number = name, 1
    while (classname, found) in taken:
        number += 1
        found = f"{name} ({number})"
    taken.add((classname, found))
    return found


def _attribute(text: str, longest: int = LONGEST_ATTRIBUTE) -> str:
    """Text for an attribute. Only spaces and what shows stand in it, since parsers turn all others into
    spaces."""
    text = _CONVENTION.sub("[ [", safe_line(text[:longest]))
    return text if len(text) <= longest else text[: longest - 1] + "…"


def _text(text: str) -> str:
    if len(text) > LONGEST_TEXT:
        text = f"{text[:LONGEST_TEXT]}\n… and {len(text) - LONGEST_TEXT} characters more"
    return _CONVENTION.sub("[ [", safe_text(text))


def _totals(*suites: Suite) -> dict[str, str]:
    states = [case.state for suite in suites for case in suite.cases]
    return {
        "tests": str(len(states)),
        "failures": str(states.count("failure")),
        "errors": str(states.count("error")),
        "time": f"{sum(suite.time_s for suite in suites if 0 < suite.time_s < LONGEST_S):.3f}",
    }


def _skipped(*suites: Suite) -> str:
    return str(sum(case.state == "skipped" for suite in suites for case in suite.cases))
