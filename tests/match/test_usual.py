"""Values and the texts that they are written as."""

from __future__ import annotations

import datetime as dt
import decimal
import ipaddress
import uuid
from typing import Any

import pytest

from iotsim.match.usual import of_text, usual_text
from iotsim.results.jsonl import plain_message

TEXTS = [
    (dt.datetime(2026, 5, 1, 12, tzinfo=dt.UTC), "2026-05-01T12:00:00Z"),
    (dt.date(2026, 5, 1), "2026-05-01"),
    (dt.time(12, 30), "12:30:00"),
    (dt.timedelta(seconds=-1.25), "-1.25s"),
    (dt.timedelta(days=2), "172800s"),
    (uuid.UUID(int=10), "00000000-0000-0000-0000-00000000000a"),
    (ipaddress.ip_address("fd77:0::1"), "fd77::1"),
    (decimal.Decimal("1.5"), "1.5"),
]


@pytest.mark.parametrize(("value", "text"), TEXTS)
def test_results_have_the_usual_text_and_it_is_that_value(value: Any, text: str) -> None:
    assert usual_text(value) == text
    assert of_text(text, type(value)) == value
    assert plain_message({"a": value, "b": [value]}) == {"a": text, "b": [text]}


@pytest.mark.parametrize("text", ["", "x", "9" * 10_000, "1/0", "\0"])
def test_a_text_that_writes_no_value_is_none(text: str) -> None:
    for value, _ in TEXTS[:-1]:
        assert of_text(text, type(value)) is None
    assert of_text(text, dict) is None
