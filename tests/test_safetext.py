from __future__ import annotations

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotsim.safetext import safe_json, safe_line, safe_text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2J", r"\x1b[2J"),
        ("\x9b2J\x7f\0", r"\x9b2J\x7f\x00"),
        ("a\tb\rc", r"a\tb\rc"),
        ("abc\u202etxt.exe\u2066", r"abc\u202etxt.exe\u2066"),
        ("a\u200bb\ufeff\u00ad", r"a\u200bb\ufeff\xad"),
        ("\ud800\udcff", r"\ud800\udcff"),
        ("a\u2028b\u0085", r"a\u2028b\x85"),
        ("\U000e0041", r"\U000e0041"),
        ("\ufffe", r"\ufffe"),
    ],
)
def test_what_could_deceive_is_shown_by_its_escape(text: str, shown: str) -> None:
    assert safe_text(text) == safe_line(text) == shown


@pytest.mark.parametrize(
    "text",
    ["Zähler 7", "счётчик", "מד", "温度計", "🌡️", "e\u0301", r"C:\temp", "10\u00a0°C", "\ufffd"],
)
def test_every_script_stays(text: str) -> None:
    assert safe_text(text) == safe_line(text) == text


def test_only_a_line_loses_its_newlines() -> None:
    assert safe_text("a\nb\r\n") == "a\nb\\r\n"
    assert safe_line("a\nb") == r"a\nb"


@given(st.text())
def test_no_control_character_is_left(text: str) -> None:
    assert is_safe(safe_text(text))
    assert "\n" not in safe_line(text)
    assert safe_line(safe_text(text)) == safe_line(text)


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_json_stays_json_and_has_no_character_that_could_deceive(text: str) -> None:
    shown = safe_json(json.dumps([text], ensure_ascii=False, indent=1))
    assert json.loads(shown) == [text]
    assert shown.isascii()
    assert safe_text(shown) == shown


def test_json_gives_no_orders_to_a_log() -> None:
    shown = safe_json(json.dumps({"##[error]": "###[x] ## ["}))
    assert "##[" not in shown
    assert json.loads(shown) == {"##[error]": "###[x] ## ["}


def is_safe(text: str) -> bool:
    return all(
        c == "\n" or unicodedata.category(c) not in ("Cc", "Cs", "Zl", "Zp") for c in text
    ) and not any(c in text for c in "\u061c\u200b\u200d\u200e\u202a\u202e\u2066\u2069\ufeff")
