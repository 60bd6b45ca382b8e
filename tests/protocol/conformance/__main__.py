"""``python -m tests.protocol.conformance``: construct's own test suite through both engines."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter, defaultdict
from typing import Any

from tests.protocol.conformance import archive, recording
from tests.protocol.conformance.cases import own_cases
from tests.protocol.conformance.comparison import (
    SURROUNDINGS,
    Disagreement,
    Tally,
    compare_all,
    short,
    silence,
)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.protocol.conformance", description=__doc__
    )
    parser.add_argument("--only", default="", help="cases whose name has this in it")
    parser.add_argument("--surrounding", choices=[s.name for s in SURROUNDINGS])
    parser.add_argument("--limit", type=int, help="no more cases than this")
    parser.add_argument(
        "-v",
        action="store_true",
        dest="verbose",
        help="all disagreements, not the first of each group",
    )
    arguments = parser.parse_args()
    started = time.perf_counter()
    cases = own_cases()
    try:
        cases += recording.record().cases
    except archive.UnreachableError as error:
        print(f"without construct's own tests: {error}")
    cases = [case for case in cases if arguments.only in case.name][: arguments.limit]
    places = [s for s in SURROUNDINGS if arguments.surrounding in (None, s.name)]
    tally = Tally()
    with silence():
        compare_all(((case, place) for case in cases for place in places), tally)
    report(tally, arguments.verbose)
    print(f"{time.perf_counter() - started:.1f} s")
    return 1 if tally.disagreements else 0


def describe(construct: Any) -> str:
    """construct's own repr, which fails for names that are bytes."""
    try:
        return repr(construct)
    except TypeError:
        return type(construct).__name__


def report(tally: Tally, verbose: bool) -> None:
    groups: dict[str, list[Disagreement]] = defaultdict(list)
    for found in tally.disagreements:
        groups[found.case.name].append(found)
    for name, group in groups.items():
        print(f"{name}  {describe(group[0].case.construct)}")
        shown = set()
        for found in group:
            if found.kind in shown and not verbose:
                continue
            shown.add(found.kind)
            print(
                f"  {found.kind}, {found.surrounding}, {sum(f.kind == found.kind for f in group)} times"
            )
            print(f"    given      {short(found.given)}")
            print(f"    construct  {found.construct}")
            print(f"    ours       {found.ours}")
    kinds = Counter(found.kind for found in tally.disagreements)
    for kind, number in kinds.most_common():
        print(f"{number:7} {kind}")
    print(
        f"{len(tally.constructs)} constructs, {tally.schemas} schemas, {tally.comparisons} comparisons"
    )
    print(f"{tally.values} the same value")
    for table in (tally.refusals, tally.skipped):
        for reason, number in table.most_common():
            print(f"{number:7} {reason}")
    print(f"{len(tally.disagreements)} disagreements of {len(groups)} constructs")


sys.exit(main())
