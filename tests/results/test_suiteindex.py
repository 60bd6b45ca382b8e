"""``index.html`` of a suite: what needs a look is first, and names of others are text."""

from __future__ import annotations

from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from iotsim.results.suite import (
    FORMAT,
    SuiteResult,
    SuiteRun,
    count_verdicts,
    decode_suite,
    encode_suite,
)
from iotsim.results.suiteindex import render_index

VERDICTS = ["passed", "failed", "error", "skipped", "inconclusive", "empty", "running", "waiting"]
NASTY = "</script><script>alert(1)</script>\"'&<img src=x onerror=alert(1)> \x1b[31m \u202e ]]> \ud800 \x00"


class Page(HTMLParser):
    """The elements of a page, its links, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.text = ""
        self.attributes: set[str] = set()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}
        self.links += [value or "" for name, value in attrs if name == "href"]

    def handle_data(self, data: str) -> None:
        self.text += data


def suite(*runs: SuiteRun, **more: str) -> SuiteResult:
    return SuiteResult(
        FORMAT,
        "suite",
        "failed",
        "2026-03-14T15:09:26+00:00",
        3.5,
        2,
        count_verdicts([run.verdict for run in runs]),
        list(runs),
        **more,  # type: ignore[arg-type]
    )


def run(name: str, verdict: str = "passed", **more: object) -> SuiteRun:
    return SuiteRun(name, name, f"{name}.toml", verdict, folder=name, **more)  # type: ignore[arg-type]


def page_of(result: SuiteResult, **reports: str) -> Page:
    return Page(render_index(result, reports).decode())


def test_what_needs_a_look_is_first() -> None:
    page = page_of(suite(*(run(f"of-{verdict}", verdict) for verdict in VERDICTS)))
    order = [link.removesuffix("/") for link in page.links if link.startswith("of-")]
    grave = "error failed inconclusive empty running waiting skipped passed"
    assert order == [f"of-{verdict}" for verdict in grave.split()]


def test_it_leads_to_the_page_of_each_run_that_has_one() -> None:
    page = page_of(suite(run("a"), run("b")), a="a/report.html")
    assert page.links[2:] == ["a/report.html", "b/"]


def test_a_run_that_has_not_begun_has_no_folder() -> None:
    waiting = SuiteRun("w", "w", "w.toml", "waiting")
    assert page_of(suite(waiting)).links == ["junit.xml", "result.json"]


def test_text_of_others_is_text() -> None:
    usual = page_of(suite(run("usual", "failed", reason="why", tags=["t"], repeat="iotsim run")))
    nasty = suite(
        SuiteRun(
            NASTY, NASTY, NASTY, "failed", NASTY, NASTY, [NASTY], {NASTY: NASTY}, repeat=NASTY
        ),
        reason=NASTY,
        shard=NASTY,
        plan=NASTY,
    )
    page = page_of(nasty)
    assert page.tags == usual.tags
    assert page.attributes == usual.attributes
    assert "<img src=x onerror=alert(1)>" in page.text
    assert "\x1b" not in page.text
    assert "\u202e" not in page.text
    (link,) = page.links[2:]
    assert "<" not in link
    assert not link.startswith(("/", "javascript:"))


@given(
    st.lists(
        st.builds(
            SuiteRun,
            name=st.text(),
            scenario=st.text(),
            path=st.text(),
            verdict=st.sampled_from(VERDICTS) | st.text(),
            reason=st.text(),
        ),
        max_size=5,
    )
)
def test_whatever_runs_are_called_it_is_a_page(runs: list[SuiteRun]) -> None:
    page = page_of(suite(*runs))
    assert page.tags.count("tr") == len(runs) + 1


def test_a_suite_is_read_back() -> None:
    made = suite(run("a", tags=["x"], seed=3, retried=True), reason="r")
    assert decode_suite(encode_suite(made)) == made


def test_a_file_whose_name_is_no_text_is_told_of_all_the_same() -> None:
    read = decode_suite(encode_suite(suite(run("a\udcff"))))
    assert read.runs[0].verdict == "passed"
