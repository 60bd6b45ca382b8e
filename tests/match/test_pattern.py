from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotsim.match.pattern import Pattern, PatternError


@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [
        ("^al", "alpha", True),
        ("^al", "final", False),
        ("ph", "alpha", True),
        ("READ|REPORT", "REPORT", True),
        (r"^sensor-\d+$", "sensor-17", True),
        (r"^sensor-\d+$", "sensor-17\n", False),
        ("(?i)Zähler", "ZÄHLER 7", True),
        (r"^\p{Greek}+$", "αβγ", True),
        ("^a.c$", "a\u20acc", True),
        ("", "", True),
        ("^.$", "\ud800", True),
    ],
)
def test_search(pattern: str, text: str, found: bool) -> None:
    assert Pattern(pattern).search(text) is found


@given(st.text())
def test_any_text_can_be_searched(text: str) -> None:
    assert Pattern("^").search(text)


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("(a+)+$", "a" * 65_000 + "b"),
        ("(a|aa)+$", "a" * 65_000 + "b"),
        ("(.*)*x", "a" * 65_000),
        ("a.*a.*a.*a.*b", "a" * 65_000),
        ("(a|b)*a(a|b){12}c", "abbabaab" * 8_000),
    ],
)
def test_the_largest_text_takes_a_moment_whatever_the_expression(pattern: str, text: str) -> None:
    search = Pattern(pattern).search
    began = time.process_time()
    assert not search(text)
    assert time.process_time() - began < 0.5  # a backtracking engine: minutes to centuries


@pytest.mark.parametrize(
    ("pattern", "why", "hint"),
    [
        ("(", "missing ): (", ""),
        ("[z-a]", "invalid character class range: z-a", ""),
        ("(?<=a)b", "invalid perl operator: (?<=", "look-around"),
        ("a(?!b)", "invalid perl operator: (?!", "{ not = … }"),
        (r"(a)\1", r"invalid escape sequence: \1", "references to groups"),
        ("(?P=n)", "invalid perl operator: (?P", "references to groups"),
        ("(?>a)", "invalid perl operator: (?>", "references to groups"),
        ("a++", "bad repetition operator: ++", "does not backtrack"),
        ("a{1,2}+", "bad repetition operator: {1,2}+", "does not backtrack"),
        (r"a\Z", r"invalid escape sequence: \Z", r"write \z"),
        (r"\u00e9", r"invalid escape sequence: \u", "the character itself"),
        ("(?x) a", "invalid perl operator: (?x", "flags i, m, s and U"),
        ("a{1001}", "invalid repetition size: {1001}", "at most 1000"),
        (r"(?i)\pL{0,300}", "it is too large", "repeat less"),
        ("\ud800", "it has a lone surrogate", ""),
        ("a" * 1001, "must be a text of at most 1000 characters", ""),
        (7, "must be a text of at most 1000 characters", ""),
    ],
)
def test_what_cannot_be_searched_for_is_refused_with_what_to_write(
    pattern: object, why: str, hint: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(PatternError) as caught:
        Pattern(pattern)
    assert str(caught.value) == f"no regular expression: {why}"
    assert hint in caught.value.hint
    assert bool(hint) is bool(caught.value.hint)
    assert capfd.readouterr().err == ""  # RE2 has a log of its own
