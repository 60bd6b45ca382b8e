"""What is new in a protocol, held against the plain comparison of all paths and values."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from iotsim.results.compare.vocabulary import (
    MOST_FIELDS,
    MOST_KINDS,
    MOST_NAMES,
    Vocabulary,
    Word,
    unseen,
)

VALUES = st.recursive(
    st.sampled_from(["GOOD", "BAD", 1, 2.5, True, None]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
    ),
    max_leaves=6,
)
MESSAGES = st.lists(
    st.builds(
        lambda kind, rest: {"kind": kind, **rest},
        st.sampled_from(["READ", "REPORT"]),
        st.dictionaries(st.sampled_from("xyz"), VALUES, max_size=3),
    ),
    max_size=6,
)


def vocabulary(messages: list[dict[str, Any]], direction: str = "received") -> Vocabulary:
    made = Vocabulary()
    for message in messages:
        made.add("p", direction, message)
    return made


def plainly(value: Any, path: str = "") -> set[tuple[str, str]]:
    """Every path in a value, with each name that stands there."""
    if isinstance(value, dict):
        inner = [(f"{path}.{name}" if path else name, one) for name, one in value.items()]
    elif isinstance(value, list):
        inner = [(f"{path}[]", one) for one in value if isinstance(one, dict | list | str)]
    else:
        return {(path, value)} if isinstance(value, str) else set()
    return {(where, "") for where, _ in inner}.union(*(plainly(one, p) for p, one in inner))


@given(MESSAGES, MESSAGES)
def test_new_is_what_stands_in_none_of_the_others(
    these: list[dict[str, Any]], those: list[dict[str, Any]]
) -> None:
    expected: set[Word] = set()
    for kind in {message["kind"] for message in these}:
        if all(message["kind"] != kind for message in those):
            expected.add(Word("p", "received", kind))
            continue
        now, before = (
            set().union(*(plainly(m) for m in messages if m["kind"] == kind))
            for messages in (these, those)
        )
        paths = {path for path, _ in before}
        fresh = {path for path, _ in now - before if path not in paths}
        for path, name in now - before:
            if path in paths:
                expected.add(Word("p", "received", kind, path, name))
            elif not any(path.startswith((f"{one}.", f"{one}[")) for one in fresh):
                expected.add(Word("p", "received", kind, path))
    assert set(unseen(vocabulary(these).words(), vocabulary(those).words())) == expected


@given(MESSAGES)
def test_nothing_is_new_in_itself(messages: list[dict[str, Any]]) -> None:
    words = vocabulary(messages).words()
    assert list(unseen(words, words)) == []


def test_directions_and_protocols_are_told_apart() -> None:
    one, other = vocabulary([{"kind": "READ"}]), vocabulary([{"kind": "READ"}], "sent")
    assert list(unseen(one.words(), other.words())) == [Word("p", "received", "READ")]


def test_texts_that_are_no_names_are_not_compared() -> None:
    for text in ("hex:0aff", "Bonn, cellar", "a3f19c02", "dev-1234", "x" * 41, "17", "a\nb"):
        one = vocabulary([{"kind": "A", "x": text}])
        other = vocabulary([{"kind": "A", "x": "OK"}])
        assert list(unseen(one.words(), other.words())) == [], text


def test_a_field_of_many_names_holds_free_text() -> None:
    names = [f"N{chr(65 + i // 26)}{chr(65 + i % 26)}" for i in range(MOST_NAMES + 1)]
    free = vocabulary([{"kind": "A", "x": name} for name in names])
    assert free.words()["p"]["received"]["A"]["x"] is None
    other = vocabulary([{"kind": "A", "x": "NEW"}])
    assert list(unseen(other.words(), free.words())) == []


def test_it_is_bounded_whatever_is_sent() -> None:
    nested: Any = "END"
    for _ in range(200):
        nested = {"a": nested}
    made = vocabulary(
        [
            *({"kind": f"K{number}"} for number in range(2 * MOST_KINDS)),
            {f"f{number}": 1 for number in range(2 * MOST_FIELDS)},
            {"kind": "A", "deep": nested, "bad\x1b[name": 1},
        ]
    )
    kinds = made.words()["p"]["received"]
    assert len(kinds) <= MOST_KINDS
    assert not made.whole
    assert max(len(fields) for fields in kinds.values()) <= MOST_FIELDS
