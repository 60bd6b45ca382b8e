"""Which runs are done: tags, names, shares."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotsim.errors import ScenarioError
from iotsim.run.selection import Shard, choose, divide, longest_first, parse_shard, plan_mark
from iotsim.run.suitejobs import Job


def job(name: str, *tags: str, combination: str = "") -> Job:
    identity = f"{name}.toml" + (f" [{combination}]" if combination else "")
    return Job(
        Path(f"{name}.toml"),
        combination=combination,
        scenario=f"Scenario {name}",
        tags=tags,
        identity=identity,
    )


JOBS = [
    job("polls", "smoke"),
    job("radio/loss", "slow", "radio", combination="loss=30%"),
    job("radio/burst", "radio"),
    job("Alarm"),
]


@pytest.mark.parametrize(
    ("tags", "names", "chosen"),
    [
        ([], [], "polls radio/loss radio/burst Alarm"),
        (["smoke"], [], "polls"),
        (["not slow"], [], "polls radio/burst Alarm"),
        (["radio and not slow"], [], "radio/burst"),
        (["smoke or slow"], [], "polls radio/loss"),
        (["not (smoke or slow)"], [], "radio/burst Alarm"),
        (["not not smoke"], [], "polls"),
        (["radio", "slow"], [], "radio/loss"),
        ([], ["alarm"], "Alarm"),
        ([], ["radio"], "radio/loss radio/burst"),
        ([], ["loss=30%"], "radio/loss"),
        ([], ["scenario and not radio"], "polls Alarm"),
        (["radio"], ["burst"], "radio/burst"),
        ([], ["nothing-is-called-so"], ""),
    ],
)
def test_tags_and_names(tags: list[str], names: list[str], chosen: str) -> None:
    found = [str(one.file.with_suffix("")) for one in choose(JOBS, tags=tags, names=names)]
    assert " ".join(found) == chosen


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("smok", "no scenario has the tag 'smok' (did you mean 'smoke'?)"),
        ("not slo", "no scenario has the tag 'slo' (did you mean 'slow'?)"),
        ("", "a word is missing at its end"),
        ("smoke and", "a word is missing at its end"),
        ("and smoke", "a word is missing before 'and'"),
        ("smoke slow", "'slow' is one too many"),
        ("(smoke", "a parenthesis is not closed"),
        ("smoke)", "')' is one too many"),
        ("not " * 60 + "smoke", "nested more than 50 deep"),
        ("(" * 60 + "smoke", "nested more than 50 deep"),
        ("a or " * 500, "longer than 1000 characters"),
    ],
)
def test_what_is_no_choice_of_tags(text: str, told: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        choose(JOBS, tags=[text], names=[])
    assert told in str(caught.value)


def test_shares_are_such() -> None:
    assert parse_shard("2/5") == Shard(2, 5)
    for text in ("0/5", "6/5", "2", "2/", "a/b", "2/5/6", "-1/5", "1/00", "1/99999"):
        with pytest.raises(ScenarioError, match="one of several, such as 2/5"):
            parse_shard(text)


@given(
    names=st.lists(st.text(max_size=8), unique=True, max_size=60),
    total=st.integers(1, 9),
    seed=st.integers(0, 99),
    share_known=st.floats(0, 1),
)
def test_each_is_in_one_share_whatever_their_order(
    names: list[str], total: int, seed: int, share_known: float
) -> None:
    draw = random.Random(seed)
    seconds = {name: draw.uniform(0.01, 60) for name in names if draw.random() < share_known}
    shares = []
    for number in range(1, total + 1):
        shuffled = list(names)
        draw.shuffle(shuffled)  # each machine finds them in an order of its own
        shares.append(divide(shuffled, Shard(number, total), name=str, seconds=seconds))
    assert sorted(name for share in shares for name in share) == sorted(names)


def test_without_durations_shares_are_of_equal_size_and_neighbors_are_apart() -> None:
    names = [f"s{number:03}" for number in range(103)]
    sizes = [len(divide(names, Shard(n, 5), name=str, seconds={})) for n in range(1, 6)]
    assert sorted(sizes) == [20, 20, 21, 21, 21]
    assert divide(names, Shard(1, 5), name=str, seconds={})[:3] == ["s000", "s005", "s010"]


def test_with_durations_shares_take_equally_long() -> None:
    seconds = {f"s{n:03}": 60.0 if n % 20 == 0 else 1.0 for n in range(100)}
    loads = [
        sum(seconds[name] for name in divide(list(seconds), Shard(n, 5), name=str, seconds=seconds))
        for n in range(1, 6)
    ]
    assert max(loads) - min(loads) <= 1.0


def test_a_share_keeps_the_order_of_the_suite() -> None:
    names = ["c", "a", "d", "b"]
    share = divide(names, Shard(1, 2), name=str, seconds={"d": 3.0})
    assert share == [name for name in names if name in share]


def test_who_divides_by_other_durations_has_another_mark() -> None:
    assert plan_mark(["a", "b"], {"a": 1.0}) == plan_mark(["b", "a"], {"a": 1.0})
    assert plan_mark(["a", "b"], {"a": 1.0}) != plan_mark(["a", "b"], {"a": 2.0})
    assert plan_mark(["a", "b"], {}) != plan_mark(["a"], {})


def test_the_longest_are_begun_first_and_before_them_what_is_not_known() -> None:
    jobs = [job(name) for name in "abcd"]
    assert longest_first(jobs, {}) == [0, 1, 2, 3]
    assert longest_first(jobs, {"a.toml": 1.0, "b.toml": 5.0, "d.toml": 2.0}) == [2, 1, 3, 0]
