"""Which runs of a suite are done: by tags, by names, by what failed last time, and whose share they are."""

from __future__ import annotations

import hashlib
import re
from statistics import median
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from iotsim.errors import Problem, ScenarioError
from iotsim.scenario.choice import Choice, unknown_words

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from iotsim.run.suitejobs import Job

One = TypeVar("One")
MOST_SHARDS = 9999


class Shard(NamedTuple):
    """Share `number` (1 to `total`) of a suite that is divided among `total` machines."""

    number: int
    total: int

    def __str__(self) -> str:
        return f"{self.number}/{self.total}"


def parse_shard(text: str) -> Shard:
    """``2/5``; ScenarioError for what is no share."""
    match = re.fullmatch(r"([1-9][0-9]{0,3})/([1-9][0-9]{0,3})", text, re.ASCII)
    if match is not None and int(match[1]) <= int(match[2]):
        return Shard(int(match[1]), int(match[2]))
    raise ScenarioError([Problem("one of several, such as 2/5", f"--shard {text}")])


def choose(jobs: Sequence[Job], *, tags: Sequence[str], names: Sequence[str]) -> list[Job]:
    """Those of `jobs` for which all of the expressions hold: `tags` are over tags, `names` over parts of
    names, whatever their case.

    ScenarioError for what is no expression, and for a tag that none of them has: a misspelled one would
    choose nothing, or, behind ``not``, everything.
    """
    by_tag = [_parse(text, "--tag") for text in tags]
    by_name = [_parse(text, "-k") for text in names]
    known = {tag for job in jobs for tag in job.tags}
    unknown = [
        Problem(f"no scenario has the tag {word!r}", f"--tag {choice.text}", hint=hint)
        for choice in by_tag
        for word, hint in unknown_words(choice, known).items()
    ]
    if unknown:
        raise ScenarioError(unknown)

    def is_meant(job: Job) -> bool:
        texts = [text.lower() for text in (job.identity, job.title)]

        def is_named(word: str) -> bool:
            return any(word.lower() in text for text in texts)

        return all(choice.holds(lambda word: word in job.tags) for choice in by_tag) and all(
            choice.holds(is_named) for choice in by_name
        )

    return [job for job in jobs if is_meant(job)]


def _parse(text: str, option: str) -> Choice:
    try:
        return Choice(text)
    except ValueError as error:
        hint = "such as 'smoke', 'not slow', 'smoke and not (slow or radio)'"
        raise ScenarioError([Problem(str(error), f"{option} {text}", hint=hint)]) from None


def divide(
    items: Sequence[One],
    shard: Shard,
    *,
    name: Callable[[One], str],
    seconds: Mapping[str, float],
) -> list[One]:
    """The share of `items` that is `shard`'s, in their order.

    Whoever divides the same items by the same `seconds` comes to the same shares, in whatever order the
    items are: each is in one, and in one only. Those whose duration is known are dealt out so that shares
    take equally long, the longest first; one that is not known is taken for an average one.
    """
    known = [seconds[name(item)] for item in items if name(item) in seconds]
    usual = median(known) if known else 1.0
    ordered = sorted(items, key=lambda item: (-seconds.get(name(item), usual), name(item)))
    loads = [0.0] * shard.total
    mine: set[str] = set()
    for item in ordered:
        place = min(range(shard.total), key=lambda number: loads[number])
        loads[place] += seconds.get(name(item), usual)
        if place == shard.number - 1:
            mine.add(name(item))
    return [item for item in items if name(item) in mine]


def plan_mark(names: Sequence[str], seconds: Mapping[str, float]) -> str:
    """A short word that is the same on all machines that divide the same suite in the same way."""
    facts = sorted(f"{name}\0{seconds.get(name, '')}" for name in names)
    return hashlib.sha256("\1".join(facts).encode(errors="surrogatepass")).hexdigest()[:8]


def longest_first(jobs: Sequence[Job], seconds: Mapping[str, float]) -> list[int]:
    """The numbers of `jobs` in the order in which to begin them, so that no long one is left for the end.

    Those of which nothing is known come first, in their order: they may be long.
    """
    return sorted(
        range(len(jobs)), key=lambda number: -seconds.get(jobs[number].identity, float("inf"))
    )
