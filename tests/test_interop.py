"""The table of peers: what it says of tests that held in one place and not in another."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from tests.interop import BEGIN, END, Case, Recorder, table, with_table


def test_each_case_has_a_row_which_says_whether_it_held_everywhere() -> None:
    reads, writes = Case("coap", "libcoap", "reads"), Case("coap", "libcoap", "writes")
    other = Case("bacnet", "Bac", "is found")
    rows = table([(writes, False), (reads, True), (other, True), (writes, True)]).splitlines()[2:]
    assert rows == [
        "| [bacnet](bacnet.md) | Bac | is found | yes |",
        "| [coap](coap.md) | libcoap | reads | yes |",
        "| [coap](coap.md) | libcoap | writes | **no** |",
    ]


def test_only_the_table_of_a_page_is_made() -> None:
    page = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    made = with_table(page, "new\n")
    assert made == f"before\n{BEGIN}\n\nnew\n\n{END}\nafter\n"
    assert with_table(made, "new\n") == made


def worker(results: list[tuple[Case, bool]], *, whole: bool = True) -> Any:
    """One of pytest-xdist's, at its end."""
    config = SimpleNamespace(workerinput={}, workeroutput={})
    recorder = Recorder(config)
    recorder.results, recorder.whole = results, whole
    recorder.pytest_sessionfinish(SimpleNamespace(config=config))
    return config


@pytest.mark.parametrize(
    ("last", "whole"),
    [
        (worker([(Case("coap", "libcoap", "reads"), False)]), True),
        (worker([], whole=False), False),
        (SimpleNamespace(), False),  # it crashed
    ],
)
def test_what_workers_have_noted_is_put_together(last: Any, whole: bool) -> None:
    runs = {"args_source": pytest.Config.ArgsSource.TESTPATHS, "getoption": lambda name: False}
    controller = Recorder(SimpleNamespace(**runs))
    reads = Case("coap", "libcoap", "reads")
    controller.pytest_testnodedown(worker([(reads, True), (reads, True)]))
    controller.pytest_testnodedown(last)
    assert controller.whole == whole
    if whole:
        assert table(controller.results).endswith(
            "| [coap](coap.md) | libcoap | reads | **no** |\n"
        )
