"""Several files as one document: what wins, what is joined, and where everything stands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotsim.scenario.merge import Merged, Source
from iotsim.scenario.toml import Document, read_toml


def source(name: str, text: str) -> Source:
    return Source(Path(name), read_toml(text))


def merged(*texts: str) -> Merged:
    """The texts merged, the base first: they stand in files 0, 1, ..."""
    return Merged([source(str(number), text) for number, text in enumerate(texts)])


def place(found: Merged, *keys: str | int) -> tuple[str, int]:
    """The file and the line of what stands at `keys`."""
    file, standing = found.locate(keys)
    return str(file.path), file.document.place(standing, of_key=True).line


def test_tables_are_merged_at_every_level() -> None:
    found = merged(
        "[scenario]\nname = 'a'\nduration = '1s'\n[gateway]\nenv = { A = '1', B = '1' }",
        "[gateway.env]\nB = '2'\nC = '2'\n[scenario]\nname = 'b'",
        "gateway.env.C = '3'",
    )
    assert found.value == {
        "scenario": {"name": "b", "duration": "1s"},
        "gateway": {"env": {"A": "1", "B": "2", "C": "3"}},
    }
    assert place(found, "scenario", "name") == ("1", 5)
    assert place(found, "scenario", "duration") == ("0", 3)
    assert place(found, "gateway", "env", "A") == ("0", 5)
    assert place(found, "gateway", "env", "B") == ("1", 2)
    assert place(found, "gateway", "env", "C") == ("2", 1)
    assert place(found, "gateway", "nosuch")[0] == "2"


@pytest.mark.parametrize(
    ("base", "nearer", "value"),
    [
        (
            "devices.meter.signals.t = { kind = 'noise', mean = 1 }",
            "devices.meter.signals.t = { kind = 'constant' }",
            {"devices": {"meter": {"signals": {"t": {"kind": "constant"}}}}},
        ),
        (
            "devices.meter.boot = { ramp = '1s', announce = { kind = 'A', x = 1 } }",
            "devices.meter.boot.announce = { kind = 'B' }",
            {"devices": {"meter": {"boot": {"ramp": "1s", "announce": {"kind": "B"}}}}},
        ),
        (
            "gateway.ready = { log = 'x' }",
            "gateway.ready = { tcp = 1 }",
            {"gateway": {"ready": {"tcp": 1}}},
        ),
        (
            "parameters = { loss = { enter = '1%' }, env = { A = 1, B = 1 } }",
            "parameters = { loss = { leave = '1%' }, env = { A = 2 } }",
            {"parameters": {"loss": {"leave": "1%"}, "env": {"A": 2, "B": 1}}},
        ),
        ("matrix.a = [1, 2]", "matrix.a = [3]", {"matrix": {"a": [3]}}),
        ("link.address = ['a', 'b']", "link.address = ['c']", {"link": {"address": ["c"]}}),
        ("a = 1", "a = { b = 1 }", {"a": {"b": 1}}),
        ("a = { b = 1 }", "a = 1", {"a": 1}),
    ],
)
def test_what_is_replaced_whole(base: str, nearer: str, value: dict[str, Any]) -> None:
    assert merged(base, nearer).value == value


def test_lists_of_tables_are_joined_the_bases_first() -> None:
    found = merged(
        "[[expect]]\nname = 'a'\n[[expect]]\nname = 'b'",
        "[[expect]]\nname = 'c'",
        "[[expect]]\nname = 'd'",
    )
    assert [one["name"] for one in found.value["expect"]] == ["a", "b", "c", "d"]
    places = [place(found, "expect", number, "name") for number in range(4)]
    assert places == [("0", 2), ("0", 4), ("1", 2), ("2", 2)]


@pytest.mark.parametrize("section", ["devices", "northbound"])
def test_of_rules_the_nearest_come_first(section: str) -> None:
    rule = f"[[{section}.x.rules]]\nname = "
    found = merged(f"{rule}'a'\n{rule}'b'", f"{rule}'c'", f"{rule}'d'\n{rule}'e'")
    assert [one["name"] for one in found.value[section]["x"]["rules"]] == [*"decab"]
    places = [place(found, section, "x", "rules", number, "name") for number in range(5)]
    assert places == [("2", 2), ("2", 4), ("1", 2), ("0", 2), ("0", 4)]
    assert found.locate((section, "x", "rules", 4, "name"))[1][-2:] == (1, "name")


def test_a_rule_that_is_no_list_is_one_of_several() -> None:
    found = merged(
        "devices.x.rules = { a = 1 }", "[[devices.x.rules]]\na = 2", "devices.x.rules.a = 3"
    )
    assert [one["a"] for one in found.value["devices"]["x"]["rules"]] == [3, 2, 1]
    assert [place(found, "devices", "x", "rules", n)[0] for n in range(3)] == ["2", "1", "0"]


@pytest.mark.parametrize("wrong", ["expect = 1", "expect.name = 'a'"])
def test_a_section_that_is_no_list_is_not_passed_over(wrong: str) -> None:
    for texts in ((wrong, "[[expect]]\nname = 'x'"), ("[[expect]]\nname = 'x'", wrong)):
        found = merged(*texts)
        assert not isinstance(found.value["expect"], list)
        assert place(found, "expect") == (str(texts.index(wrong)), 1)


def test_what_comes_between_two_tables_ends_the_first() -> None:
    assert merged("a = { b = 1 }", "a = 1", "a = { c = 1 }").value == {"a": {"c": 1}}


names = st.sampled_from("abc")
scalars = st.integers(0, 9)
messages = st.fixed_dictionaries({}, optional=dict.fromkeys("xyz", scalars))
documents = st.fixed_dictionaries(
    {},
    optional={
        "scenario": st.dictionaries(names, scalars),
        "link": st.dictionaries(names, st.dictionaries(names, st.dictionaries(names, scalars))),
        "expect": st.lists(messages, max_size=3),
        "step": st.lists(messages, max_size=3),
        "parameters": st.dictionaries(names, messages),
        "gateway": st.fixed_dictionaries({}, optional={"ready": messages, "env": messages}),
        "devices": st.dictionaries(
            names,
            st.fixed_dictionaries(
                {},
                optional={
                    "signals": st.dictionaries(names, messages),
                    "state": st.dictionaries(names, scalars),
                    "rules": st.lists(messages, max_size=3),
                    "hops": st.lists(scalars),
                },
            ),
        ),
    },
)


def of(*values: dict[str, Any]) -> dict[str, Any]:
    sources = [
        Source(Path(str(number)), Document("", value, {}, 0)) for number, value in enumerate(values)
    ]
    return Merged(sources).value


def in_order(value: Any) -> Any:
    """`value` with the order of all keys: a fleet's place in the file decides its address on loopback."""
    if isinstance(value, dict):
        return [(key, in_order(inner)) for key, inner in value.items()]
    return [in_order(inner) for inner in value] if isinstance(value, list) else value


@given(documents, documents, documents, documents)
def test_files_can_be_merged_in_any_grouping(
    a: dict[str, Any], b: dict[str, Any], c: dict[str, Any], d: dict[str, Any]
) -> None:
    whole = in_order(of(a, b, c, d))
    assert in_order(of(of(of(a, b), c), d)) == whole
    assert in_order(of(a, of(b, of(c, d)))) == whole
    assert in_order(of(of(a, b), of(c, d))) == whole


@given(documents)
def test_a_file_by_itself_stays_as_it_is(a: dict[str, Any]) -> None:
    assert in_order(of(a)) == in_order(a)
    assert in_order(of({}, a)) == in_order(a) == in_order(of(a, {}))


@given(documents, documents)
def test_what_the_nearer_file_says_is_there_and_nothing_is_changed(
    a: dict[str, Any], b: dict[str, Any]
) -> None:
    before = (in_order(a), in_order(b))
    both = of(a, b)
    assert (in_order(a), in_order(b)) == before
    for name, value in b.get("scenario", {}).items():
        assert both["scenario"][name] == value
    for name in a.keys() | b.keys():
        assert name in both
    counted = [one.get("expect", []) for one in (a, b, both)]
    assert len(counted[2]) == len(counted[0]) + len(counted[1])
