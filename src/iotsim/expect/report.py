"""From what judges exported to outcomes.

A single judge reports by the same way, as the only one to be merged, so that a fleet that is split
over several judges cannot be judged by other rules. Verdicts are exact for all quantifiers; of near
misses each judge keeps a bounded number, so that a merge may know another nearest one.
"""

from __future__ import annotations

from collections import Counter
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from iotsim.events import Outcome
from iotsim.expect import text
from iotsim.expect.lapses import Ground, Grounds, doubt_of, merge_lapses
from iotsim.expect.latency import judge_pairs
from iotsim.expect.rate import judge_parts
from iotsim.expect.slots import device_text
from iotsim.expect.watcher import MAX_DEVICES, quantified

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from iotsim.expect.lapses import Lapses

    Part = Mapping[str, Any]

NOTHING_HEARD = "Nothing was heard from the gateway at all: no message reached any device."


class Findings(NamedTuple):
    """The outcomes in the order of the scenario, and what is true of the run as a whole."""

    outcomes: list[Outcome]
    notes: list[str]


def merge(exports: Sequence[Mapping[str, Any]]) -> Findings:
    """The findings of judges that each saw a part of the devices; see `Judge.export`.

    The first of them is the one that was told of the gateway's process.
    """
    items = list(zip(*(export["items"] for export in exports), strict=True))
    silent = _gateway_was_silent(exports, items)
    lapses = merge_lapses(export["lapses"] for export in exports)
    outcomes = [
        outcome_of(number, parts, lapses, silent=silent) for number, parts in enumerate(items)
    ]
    if silent:
        return Findings(outcomes, [NOTHING_HEARD])
    return Findings(outcomes, _diagnosis(exports, items, outcomes))


def outcome_of(
    number: int, parts: Sequence[Part], lapses: Lapses, *, silent: bool = False
) -> Outcome:
    """The outcome of expectation `number`, of what each judge exported of it.

    It is inconclusive where what was seen, or was not, may be due to `lapses` of our own. `silent`:
    nothing was heard from the gateway, so that there is nothing near to show.
    """
    if parts[0]["kind"] == "gateway":
        outcome = _gateway_outcome(number, parts)
    else:
        silent = silent and parts[0]["direction"] == "receives"
        outcome = _outcome(number, parts, silent=silent)
    doubt = _doubt(outcome, parts, lapses)
    return msgspec.structs.replace(outcome, passed=False, inconclusive=doubt) if doubt else outcome


def _doubt(outcome: Outcome, parts: Sequence[Part], lapses: Lapses) -> str:
    """Why `outcome` is not certain; "" if it is."""
    first = parts[0]
    if first["kind"] == "gateway":
        told = [first["broken_on"]]
        return doubt_of(lapses, "each", passed=outcome.passed, broken_on=told, held_on=())
    if outcome.passed and (unwatched := sum(part["unwatched"] for part in parts)):
        messages = text.plural(unwatched, "message")
        return f"there was too much to watch at once: what became of {messages} is not known"
    unheard = [one for part in parts for one in part["unheard"]]
    if first["quantifier"] == "any" and len(unheard) < sum(part["held"] for part in parts):
        unheard.clear()  # one holds at least
    if outcome.passed and unheard and first["quantifier"] != "none":
        return f'{unheard[0]}: layer = "wire" is what the gateway has sent'
    broken = [part["broken_on"] for part in parts]
    if first["quantifier"] == "all" and len(parts) > 1 and not any(g["proved"] for g in broken):
        # What none of the parts could decide took place whenever any of them looked.
        pool = Grounds()
        for part in parts:
            pool.add(Ground(*part["span"]))
        broken = [pool.export()]
    return doubt_of(
        lapses,
        first["quantifier"],
        passed=outcome.passed,
        broken_on=broken,
        held_on=[part["held_on"] for part in parts],
    )


def _gateway_was_silent(
    exports: Sequence[Mapping[str, Any]], items: Sequence[Sequence[Part]]
) -> bool:
    """Whether it is known that nothing came, and somebody asks what comes."""
    told = [export["gateway_heard"] for export in exports]
    asked = any(parts[0].get("direction") == "receives" for parts in items)
    return asked and False in told and True not in told


def _diagnosis(
    exports: Sequence[Mapping[str, Any]],
    items: Sequence[Sequence[Part]],
    outcomes: Sequence[Outcome],
) -> list[str]:
    """What may be the cause of failures: datagrams that were no messages."""
    fleets = {
        fleet
        for parts, outcome in zip(items, outcomes, strict=True)
        if not outcome.passed
        for fleet in parts[0].get("decoding", ())
    }
    reasons = Counter[str]()
    total = 0
    for export in exports:
        for fleet, (count, counted) in export["undecodable"].items():
            if fleet in fleets:
                total += count
                reasons.update(counted)
    if not total:
        return []
    datagrams = text.plural(total, "datagram")
    if len(reasons) == 1:
        return [f"{datagrams} of the gateway could not be decoded: {next(iter(reasons))}"]
    told = ", ".join(f"{reason} ({count})" for reason, count in reasons.most_common(3))
    return [f"{datagrams} of the gateway could not be decoded: {told}"]


def _gateway_outcome(number: int, parts: Sequence[Part]) -> Outcome:
    """Of several judges, only the first one is told of the gateway's process."""
    told = parts[0]
    unmeasured, figures = told["unmeasured"], told["figures"]
    held = f"so it was: {figures}" if figures else "so it was"
    return Outcome(
        name=told["name"],
        kind="gateway",
        passed=not told["failed"] and not unmeasured,
        severity=told["severity"],
        expected=told["expected"],
        actual=told["text"] or unmeasured or held,
        inconclusive=unmeasured,
        place=told["place"],
        t=told["decided_at"],
        number=number,
    )


def _outcome(number: int, parts: Sequence[Part], *, silent: bool) -> Outcome:
    first = parts[0]
    quantifier = first["quantifier"]
    held = sum(part["held"] for part in parts)
    broken = sum(part["broken"] for part in parts)
    pooled = quantifier == "all"
    why = _pool_failure(parts) if pooled else ""
    passed = not why if pooled else quantified(quantifier, held, broken)
    after = next((part["after"] for part in parts if part["after"]), "")
    passed = passed and not after
    common = {
        "name": first["name"],
        "kind": first["kind"],
        "passed": passed,
        "severity": first["severity"],
        "expected": _expected(first),
        "place": first["place"],
        "t": _decided_at(parts, passed),
        "error": next((part["error"] for part in parts if part["error"]), ""),
        "number": number,
    }
    if after:
        return Outcome(**common, actual=text.never_began(after))
    if passed:
        return Outcome(**common, actual=_passed_text(first, held, broken) + _margin_text(parts))
    if pooled:
        near = next((part["text"] for part in parts if part["text"] and not part["held"]), "")
        if silent or near == why or (first["pool"].get("count") and why != "none came"):
            near = ""  # what came says it all
        return Outcome(**common, actual=_with_ending(why, parts), nearest=near)
    culprits = [culprit for part in parts for culprit in part["culprits"]]
    culprits = sorted(culprits, key=itemgetter(0, 2))[:MAX_DEVICES]
    names = tuple(device_text(name, index) for _, name, index, *_ in culprits)
    times = tuple(t for *_, t in culprits)
    devices = sum(part["devices"] for part in parts)
    total = held if quantifier == "none" else broken
    nearest = ""
    near = [part["nearest"] for part in parts if part["nearest"]]
    if near and not silent:
        _, name, index, _, detail, _ = min(near, key=lambda told: (told[3], told[0], told[2]))
        nearest = f"{device_text(name, index)}: {detail}"
    actual = _failed_text(first, total, devices, names)
    if quantifier != "none":  # there, what should not come has come, however the run ended
        actual = _with_ending(actual, parts)
    if first["service"]:
        said = culprits[0][4] if culprits and not silent else ""
        return Outcome(**common, actual=actual, nearest=said)
    return Outcome(
        **common,
        actual=actual,
        nearest=nearest,
        devices=names,
        details=() if silent else tuple(detail for *_, detail, _ in culprits),
        total=total,
        times=times if any(t is not None for t in times) else (),
        services=tuple(first["services"]),
    )


def _decided_at(parts: Sequence[Part], verdict: bool) -> float | None:
    """When all parts together had come to `verdict`; None: at the end only."""
    times = [part["decided_at"] for part in parts if part["devices"]]
    if verdict == (parts[0]["quantifier"] == "any"):  # the first part to say so was enough
        deciding = [part["decided_at"] for part in parts if part["verdict"] == verdict]
        return min((t for t in deciding if t is not None), default=None)
    return None if None in times else max(times, default=None)


def _expected(item: Part) -> str:
    whom, predicate = item["whom"], item["expected"]
    if predicate.startswith("every "):
        whom += ":"
    if item["selected"] == 1 and item["quantifier"] in ("each", "device", "all"):
        return f"{whom} {predicate}"
    words = {
        "each": "each of",
        "device": "each of",
        "any": "at least one of",
        "none": "none of",
        "all": "together,",
    }
    return f"{words[item['quantifier']]} {whom} {predicate}"


def _passed_text(item: Part, held: int, broken: int) -> str:
    if item["quantifier"] == "all":
        return "together they did"
    if item["quantifier"] == "any":
        return "at least one did"
    if item["quantifier"] == "none":
        return _none_did(broken)
    return _none_did(held) if item["forbids"] else _all_did(held)


def _all_did(count: int) -> str:
    return {1: "it did", 2: "both did"}.get(count, f"all {count} did")


def _none_did(count: int) -> str:
    return {1: "it did not", 2: "neither did"}.get(count, f"none of the {count} did")


def _margin_text(parts: Sequence[Part]) -> str:
    """``, the last (meter[13]) 4.2 s before the deadline``: who came closest to a failure."""
    margins = [tuple(part["margin"]) for part in parts if part["margin"]]
    first = parts[0]
    if not margins or first["quantifier"] == "none":
        return ""
    sole = first["quantifier"] in ("any", "all")  # the first one was enough
    left, _, device = min(margins, key=itemgetter(1 if sole else 0))
    before = f"{text.seconds(round(left, 3))} before the deadline"
    if sole:
        return f": {device}, {before}"
    return f", {before}" if first["selected"] == 1 else f", the last ({device}) {before}"


def _failed_text(item: Part, total: int, devices: int, names: Sequence[str]) -> str:
    # Where messages are forbidden, the device that fails is one that did hear one.
    did = (item["quantifier"] == "none") != item["forbids"]
    if devices == 1:
        return f"{names[0]} {'did' if did else 'did not'}"
    if total == devices:
        return _all_did(devices) if did else _none_did(devices)
    return f"{total} of {devices} {'did' if did else 'did not'}: {text.devices_text(names, total)}"


def _with_ending(actual: str, parts: Sequence[Part]) -> str:
    ending = next((part["ending"] for part in parts if part["ending"]), "")
    return f"{actual}; {ending}" if ending else actual


def _pool_failure(parts: Sequence[Part]) -> str:
    """Why the pool of all parts breaks the expectation; "" where it holds."""
    pools = [part["pool"] for part in parts]
    if "held" in pools[0]:
        return "" if any(pool["held"] for pool in pools) else "none of them did"
    if "count" in pools[0]:
        count = sum(pool["count"] for pool in pools)
        minimum, maximum = pools[0]["minimum"], pools[0]["maximum"]
        if count >= minimum and (maximum is None or count <= maximum):
            return ""
        arrivals = sorted(tuple(arrival) for pool in pools for arrival in pool["arrivals"])
        return text.arrivals_text(count, arrivals) or "none came"
    if "pairs" in pools[0]:
        return next((pool["broken"] for pool in pools if pool["broken"]), "") or judge_pairs(pools)
    if "times" in pools[0]:
        return judge_parts(pools)
    if not any(part["broken"] for part in parts):
        return ""
    return next((part["text"] for part in parts if part["broken"] and part["text"]), "they did not")
