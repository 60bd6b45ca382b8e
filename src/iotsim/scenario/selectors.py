"""Device selectors: ``meter``, ``meter[3]``, ``meter[0:10]``, ``meter[::2]``, ``meter 10%``."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from iotsim.expect.spec import DeviceSelection
from iotsim.match.fieldpath import meant
from iotsim.rng import stream
from iotsim.scenario.problems import nearest
from iotsim.units import parse_share

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from iotsim.scenario.loading import Loading
    from iotsim.scenario.model import Scenario
    from iotsim.scenario.toml import Keys

_SELECTOR = re.compile(
    r"\s*(?P<fleet>[A-Za-z_][\w-]*)\s*"
    r"(?:\[(?P<index>[^\]]*)\]|(?P<share>[0-9.]+\s*%))?\s*",
    re.ASCII,
)
MOST_DRAWN = 1 << 22
MOST_LISTED = 1 << 23
"""At most this many devices of a scenario's selectors are gone through one by one."""
_INTEGER = re.compile(r"-?[0-9]{1,12}", re.ASCII)


class SelectorError(ValueError):
    """A selector that selects nothing of ``fleet``; ``hint`` as in `iotsim.errors.Problem`."""

    def __init__(self, message: str, hint: str = "", fleet: str = "") -> None:
        self.hint = hint
        self.fleet = fleet
        super().__init__(message)


class Selectors:
    """Finds the devices that the selectors of a scenario name, and tells which of these name none."""

    def __init__(self, scenario: Scenario, loading: Loading) -> None:
        self.counts = {fleet.name: fleet.count for fleet in scenario.fleets}
        self._seed = scenario.seed
        self._doubtful = loading.doubtful
        self._problems = loading.problems
        self._listed = 0

    def find(self, texts: Sequence[str], keys: Keys) -> tuple[DeviceSelection, ...]:
        """The devices of all `texts`, which stand at `keys`: see `merged`."""
        selections: list[DeviceSelection] = []
        for number, text in enumerate(texts):
            if self._listed > MOST_LISTED:
                break
            found = self.find_one(text, keys if len(texts) == 1 else (*keys, number))
            selections += found
            self._listed += sum(
                len(one.indexes) for one in found if not isinstance(one.indexes, range)
            )
        self._listed += listed(selections)
        if self._listed > MOST_LISTED:
            message = f"more than {MOST_LISTED} devices in shares, and in lists of a fleet's parts"
            self._problems.add(keys, message)
            return ()
        return merged(selections)

    def find_one(self, text: str, keys: Keys) -> list[DeviceSelection]:
        """The devices of `text`. Where it names none, which is told, a device of its fleet, or of the one
        that was probably meant, so that the rest is looked at all the same; [] if there is none."""
        try:
            return [select(text, self.counts, self._seed)]
        except SelectorError as error:
            if error.fleet in self._doubtful:
                return []
            self._problems.add(keys, str(error), error.hint)
            fleet = error.fleet if error.fleet in self.counts else meant(error.fleet, self.counts)
            return [DeviceSelection(fleet, range(1))] if self.counts.get(fleet) else []
        except ValueError as error:
            self._problems.add(keys, str(error))
            return []


def select(text: str, counts: Mapping[str, int], seed: int) -> DeviceSelection:
    """The devices that `text` names, of fleets with `counts` devices; a share is drawn by `seed`.

    The same share of a fleet is the same devices wherever it is named.
    """
    match = _SELECTOR.fullmatch(text[:200])
    if match is None:
        raise SelectorError(
            f"'{text[:100]}' selects no devices",
            "write 'meter', 'meter[3]', 'meter[0:10]' or 'meter 10%'",
        )
    fleet = match["fleet"]
    count = counts.get(fleet)
    if count is None:
        raise SelectorError(
            f"there are no devices called '{fleet}'", nearest(fleet, list(counts)), fleet
        )
    if match["share"]:
        return DeviceSelection(fleet, _share(fleet, count, parse_share(match["share"]), seed))
    if match["index"] is None:
        return DeviceSelection(fleet, range(count))
    indexes = _slice(match["index"], count, text, fleet)
    if not indexes:
        raise SelectorError(f"'{text}' selects no devices", f"'{fleet}' has {count}", fleet)
    return DeviceSelection(fleet, indexes)


def _share(fleet: str, count: int, share: float, seed: int) -> tuple[int, ...]:
    wanted = min(count, max(1, round(count * share)))  # at least one device
    if wanted > MOST_DRAWN:
        raise SelectorError(
            f"a share of {wanted} devices: at most {MOST_DRAWN} are drawn", "", fleet
        )
    return tuple(sorted(stream(seed, "share", fleet).sample(range(count), wanted)))


def _slice(text: str, count: int, selector: str, fleet: str) -> range:
    parts = [part.strip() for part in text.split(":")]
    numbers = [int(part) if _INTEGER.fullmatch(part) else None for part in parts]
    wrong = any(number is None and part for number, part in zip(numbers, parts, strict=True))
    if wrong or len(parts) > 3:
        raise SelectorError(f"'{selector[:100]}' has no index as in 'meter[3]' or 'meter[0:10:2]'")
    if len(parts) > 1:
        if numbers[2:] == [0]:
            raise SelectorError(f"'{selector}' has a step of 0")
        chosen = range(count)[slice(*numbers)]
        return chosen if chosen.step > 0 else chosen[::-1]
    if numbers[0] is None:
        raise SelectorError(f"'{selector}' has an empty index")
    index = numbers[0] + count if numbers[0] < 0 else numbers[0]
    if not 0 <= index < count:
        raise SelectorError(
            f"there is no '{selector}'", f"the devices are numbered from 0 to {count - 1}", fleet
        )
    return range(index, index + 1)


def listed(selections: Collection[DeviceSelection]) -> int:
    """How many indexes are gone through to merge `selections`: those of fleets named several times."""
    named = Counter(selection.fleet for selection in selections)
    return sum(len(one.indexes) for one in selections if named[one.fleet] > 1)


def merged(selections: Iterable[DeviceSelection]) -> tuple[DeviceSelection, ...]:
    """One selection for each fleet, in the order of their first naming, no device twice."""
    fleets: dict[str, list[DeviceSelection]] = {}
    for selection in selections:
        fleets.setdefault(selection.fleet, []).append(selection)
    return tuple(
        several[0]
        if len(several) == 1
        else DeviceSelection(fleet, tuple(sorted(set().union(*(one.indexes for one in several)))))
        for fleet, several in fleets.items()
    )
