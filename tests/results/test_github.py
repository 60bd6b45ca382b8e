"""What GitHub Actions is told: at the right lines, with its escapes, and nothing that gives orders."""

from __future__ import annotations

import html.parser
import re
from typing import TYPE_CHECKING, Any

import pytest

from iotsim.events import GatewayResult, Outcome
from iotsim.results.context import ContextLine
from iotsim.results.github import (
    MOST_OF_A_LEVEL,
    SUMMARY_BYTES,
    Annotation,
    Entry,
    annotations_of,
    step_summary,
)
from iotsim.results.result import RunResult

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

HOSTILE = (
    "x%0A::error::y\r\n::set-output name=a::b\n::stop-commands::t\n<script>alert(1)</script>"
    "</code></pre></td></table>\n\n# title | cell `code` [a](http://evil) ![i](http://evil/i.png) **b**"
    "\x1b[2J\u202e&lt; @user ,:"
)


def outcome(**changes: Any) -> Outcome:
    fields: dict[str, Any] = {
        "name": "every meter is polled",
        "kind": "within",
        "passed": False,
        "severity": "error",
        "expected": "each of meter (14 devices) receives kind READ within 5 s",
        "actual": "1 of 14 did not: meter[13]",
        "devices": ("meter[13]",),
        "details": ("heard nothing in that time",),
        "total": 1,
        "place": "/repo/tests/polls.toml:27",
    }
    return Outcome(**{**fields, **changes})


def run(verdict: str = "failed", **changes: Any) -> RunResult:
    fields: dict[str, Any] = {
        "scenario": "polls",
        "path": "/repo/tests/polls.toml",
        "seed": 7,
        "verdict": verdict,
        "duration_s": 1.25,
        "repeat": "iotsim run tests/polls.toml --seed 7",
    }
    return RunResult(**{**fields, **changes})


def annotated(
    results: Iterable[RunResult], in_repository: Callable[[str], str]
) -> list[Annotation]:
    return annotations_of(map(Entry, results), in_repository)


def in_repository(path: str) -> str:
    return path.removeprefix("/repo/") if path.startswith("/repo/") else ""


# --- annotations ------------------------------------------------------------------------------


def test_a_failed_expectation_is_annotated_where_it_stands() -> None:
    held = outcome(name="held", passed=True)
    (one,) = annotated([run(expectations=[outcome(), held])], in_repository)
    assert str(one) == (
        "::error file=tests/polls.toml,line=27,title=polls%3A every meter is polled::"
        "expected: each of meter (14 devices) receives kind READ within 5 s%0A"
        "actual: 1 of 14 did not: meter[13]%0A"
        "device: meter[13]: heard nothing in that time%0A"
        "stands in: /repo/tests/polls.toml:27%0A"
        "repeat: iotsim run tests/polls.toml --seed 7"
    )


@pytest.mark.parametrize(
    ("verdict", "changes", "expected"),
    [
        ("passed", {}, []),
        (
            "failed",
            {"reason": "the gateway was ended by SIGSEGV"},
            [("error", "tests/polls.toml", 1)],
        ),
        (
            "error",
            {"reason": "/repo/tests/base.toml:3:7: no such key"},
            [("error", "tests/base.toml", 3)],
        ),
        ("error", {"reason": "odd", "path": "/elsewhere/a.toml"}, [("error", "", 0)]),
        ("skipped", {"reason": "needs tshark"}, [("warning", "tests/polls.toml", 1)]),
        ("empty", {}, [("error", "tests/polls.toml", 1)]),
        (
            "inconclusive",
            {"expectations": [outcome(inconclusive="we were late")]},
            [("error", "tests/polls.toml", 27)],
        ),
        (
            "passed",
            {"expectations": [outcome(severity="warning")]},
            [("warning", "tests/polls.toml", 27)],
        ),
        (
            "failed",
            {"expectations": [outcome(place="/bundled/x.toml:3")]},
            [("error", "", 0)],
        ),
    ],
)
def test_each_verdict_but_passed_is_annotated_once(
    verdict: str, changes: dict[str, Any], expected: list[tuple[str, str, int]]
) -> None:
    found = annotated([run(verdict, **changes)], in_repository)
    assert [(one.level, one.file, one.line) for one in found] == expected


def test_what_is_more_than_the_runner_takes_is_told_of() -> None:
    expectations = [outcome(name=f"e{number}") for number in range(14)]
    warnings = [outcome(name="w", severity="warning")] * 2
    found = annotated([run(expectations=expectations + warnings)], in_repository)
    errors = [one for one in found if one.level == "error"]
    assert len(errors) == MOST_OF_A_LEVEL
    assert errors[-1].title == "5 more"
    assert len(found) == MOST_OF_A_LEVEL + 2


def unescaped(text: str) -> str:
    """As the runner reads it."""
    for escape, sign in (("%0D", "\r"), ("%0A", "\n"), ("%3A", ":"), ("%2C", ","), ("%25", "%")):
        text = text.replace(escape, sign)
    return text


def test_no_text_of_others_is_an_order() -> None:
    one = Annotation("error", HOSTILE, HOSTILE, HOSTILE, 3)
    text = str(one)
    assert "\n" not in text
    assert "\r" not in text
    match = re.fullmatch(r"::error file=([^,:]*),line=3,title=([^,:]*)::(.*)", text)
    assert match is not None
    assert unescaped(match[1]) == HOSTILE
    assert unescaped(match[3]) == HOSTILE
    hostile = run(scenario=HOSTILE, reason=HOSTILE, repeat=HOSTILE, path=HOSTILE)
    for found in annotated([hostile], lambda path: path):
        assert str(found).count("\n") == 0


# --- the summary ------------------------------------------------------------------------------


class Tags(html.parser.HTMLParser):
    """What a browser makes of HTML: the tags, their balance, and the text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.open: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


OURS = {"table", "tr", "th", "td", "h3", "p", "code", "pre"}


def test_the_summary_of_a_run_tells_its_failures_whole() -> None:
    line = ContextLine(1.0, "received", "10.77.0.1:40000", "kind=READ", towards="from")
    held = outcome(name="held", passed=True, actual="all 14 did")
    result = run(expectations=[held, outcome()])
    text = step_summary([Entry(result, "out/polls", {"meter[13]": [line]})])
    assert text.startswith("## ❌ iotsim: failed\n\n<h3>")
    said = Tags(text).text
    for part in (
        *(
            "polls",
            "failed, seed 7, 1.2 s, /repo/tests/polls.toml",
            "every meter is polled",
            "1 of 14 did not: meter[13]",
        ),
        "expected   each of meter (14 devices) receives kind READ within 5 s",
        "stands in  /repo/tests/polls.toml:27",
        "around meter[13]\n      t=1.000 s  received    kind=READ  from 10.77.0.1:40000",
        "Again: iotsim run tests/polls.toml --seed 7",
        "Results: out/polls",
    ):
        assert part in said
    assert said.index("every meter is polled") < said.index("held")


def test_several_runs_have_a_table_and_those_that_passed_are_not_told_again() -> None:
    entries = [
        Entry(run("passed", scenario="good", expectations=[outcome(passed=True)])),
        Entry(run(scenario="bad", expectations=[outcome()])),
    ]
    text = step_summary(entries)
    assert text.startswith("## ❌ iotsim: 1 passed, 1 failed\n")
    assert text.count("<h3>") == 1
    assert Tags(text).text.count("good") == 1
    assert "0 of 1" in text


def test_the_runs_of_a_matrix_are_told_from_each_other() -> None:
    entries = [
        Entry(run(parameters={"rate": rate, "loss": "5%"}, expectations=[outcome()]))
        for rate in ("1", "2")
    ]
    said = Tags(step_summary(entries)).text
    assert said.count("polls [loss=5%, rate=1]") == 2
    assert said.count("polls [loss=5%, rate=2]") == 2
    titles = [one.title for one in annotations_of(entries, in_repository)]
    assert titles == [f"polls [loss=5%, rate={n}]: every meter is polled" for n in "12"]


def test_no_text_of_others_is_markup() -> None:
    gateway = GatewayResult(command=["gw"], crashed=True, last_lines=[HOSTILE, "", "```"])
    fields = dict.fromkeys(
        ("name", "actual", "expected", "nearest", "place", "inconclusive"), HOSTILE
    )
    hostile = outcome(**fields, devices=(HOSTILE,), details=(HOSTILE,))
    held = outcome(name=HOSTILE, passed=True, actual=HOSTILE)
    result = run(
        scenario=HOSTILE,
        reason=HOSTILE,
        repeat=HOSTILE,
        expectations=[hostile, held],
        notes=[HOSTILE],
        errors=[HOSTILE],
        gateway=gateway,
    )
    line = ContextLine(1.0, HOSTILE, HOSTILE, HOSTILE, HOSTILE, HOSTILE)
    entry = Entry(result, HOSTILE, {HOSTILE: [line]})
    for text in (step_summary([entry]), step_summary([entry, entry])):
        tags = Tags(text)
        assert tags.names <= OURS
        assert tags.open == []
        # Markdown is read again only after an empty line, behind which stands nothing but ours.
        blocks = text.split("\n\n")
        assert all(re.match(r"(## |<table>|<h3>)", block) for block in blocks)
        assert "\x1b" not in text
        assert "\r" not in text


def test_a_summary_is_never_larger_than_what_is_shown() -> None:
    many = [outcome(name=f"e{n}", actual="x" * 400, nearest="y" * 400) for n in range(300)]
    entries = [Entry(run(scenario=f"s{n}", expectations=many)) for n in range(30)]
    for room in (SUMMARY_BYTES, 300_000, 20_000, 3_000, 100, 0):
        text = step_summary(entries, room)
        assert len(text.encode()) <= room
        tags = Tags(text)
        assert tags.open == []
        if room >= 300_000:
            assert "There is no room here for" in text
            assert text.count("<h3>") > 3
    assert step_summary(entries, 20).encode() == b""


def test_a_reason_without_a_place_is_no_name_of_a_file() -> None:
    """Whatever the reason, a relative path of that name would be in the repository."""
    reason = "the gateway cannot be started: ../batgw: No such file or directory"
    (one,) = annotated([run("error", reason=reason)], lambda path: path.removeprefix("/repo/"))
    assert str(one).startswith("::error file=tests/polls.toml,line=1,title=polls%3A error::")
    assert one.message.startswith(reason)


def test_of_a_run_that_decided_nothing_nothing_held() -> None:
    text = step_summary([Entry(run("error", reason="odd")), Entry(run("passed"))])
    assert "0 of 0" not in text
    assert "none decided" in text


def test_parameters_that_are_in_the_name_are_not_told_twice() -> None:
    one = run("failed", scenario="a lossy radio [loss=20%]", parameters={"loss": "20%"})
    assert "title=a lossy radio [loss=20%25]%3A failed::" in str(annotated([one], in_repository)[0])
    text = step_summary([Entry(one), Entry(one)])
    assert "a lossy radio [loss=20%]" in text
    assert "[loss=20%] [" not in text


def test_repetitions_are_told_from_each_other() -> None:
    entries = [Entry(run("error", reason="odd"), repetition=number) for number in (3, 4)]
    said = Tags(step_summary(entries)).text
    assert said.count("polls #3") == said.count("polls #4") == 2
    titles = [one.title for one in annotations_of(entries, in_repository)]
    assert titles == ["polls #3: error", "polls #4: error"]
