"""Runs that were found, and which of them are of the same scenario."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from iotsim.results.result import title_of

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping, Sequence

    from iotsim.results.compare.profile import Profile


@dataclass(frozen=True)
class Found:
    """A run that was found in a folder, ``name`` below it ("" if it is that folder itself), or in a
    baseline. ``path``: of its scenario, absolute, "" where it is not known. ``where`` it was found, for
    people."""

    name: str
    where: str
    scenario: str
    path: str
    parameters: Mapping[str, str]
    verdict: str
    load: Callable[[], Profile]

    @property
    def title(self) -> str:
        """The scenario, with what tells it from others of its file."""
        return title_of(self.scenario, self.parameters)


def pair_up(old: Sequence[Found], new: Sequence[Found]) -> list[tuple[int, int]]:
    """Which of `old` and of `new` are runs of the same scenario, by their places, in the order of `new`.

    The file and the parameters decide, of runs that were repeated with the name of the folder; where these
    do not tell, the name of the scenario; then that of the folder, which changes with the files that a suite
    has besides. What several have in common tells nothing.
    """
    keys: list[Callable[[Found], Hashable]] = [
        lambda one: one.path and (one.path, _setting(one), one.name),
        _file_key,
        _scenario_key,
        lambda one: one.name,
    ]
    left, right = dict(enumerate(old)), dict(enumerate(new))
    pairs = []
    for key in keys:
        theirs = _unique(left, key)
        for value, number in _unique(right, key).items():
            if value in theirs:
                pairs.append((theirs[value], number))
                del left[theirs[value]], right[number]
    return sorted(pairs, key=lambda pair: pair[1])


def match_each(old: Sequence[Found], new: Sequence[Found]) -> list[tuple[int, int]]:
    """The same where each of `new` is by itself: of one scenario there may be several, as of runs that are
    repeated, and all are compared with the one of `old`."""
    left = dict(enumerate(old))
    known = [_unique(left, key) for key in (_file_key, _scenario_key)]
    pairs = []
    for number, one in enumerate(new):
        found = [known[0].get(_file_key(one)), known[1].get(_scenario_key(one))]
        pairs += [(place, number) for place in found if place is not None][:1]
    return pairs


def _file_key(one: Found) -> Hashable:
    return one.path and (one.path, _setting(one))


def _scenario_key(one: Found) -> Hashable:
    return one.scenario and (one.scenario, _setting(one))


def _setting(one: Found) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(one.parameters.items()))


def _unique(found: dict[int, Found], key: Callable[[Found], Hashable]) -> dict[Hashable, int]:
    """The places of those that have a key which no other has."""
    counts = Counter(key(one) for one in found.values())
    keys = ((key(one), number) for number, one in found.items())
    return {value: number for value, number in keys if value and counts[value] == 1}
