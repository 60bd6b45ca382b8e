"""From what judges exported to outcomes.

A single judge reports by the same way, as the only one to be merged, so that a fleet that is split
over several judges cannot be judged by other rules. Verdicts are exact for all quantifiers; of near
misses each judge keeps a bounded number, so that a merge may know another nearest one.
"""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from iotsim.events import Outcome
from iotsim.expect import text
from iotsim.expect.rate import judge_parts
from iotsim.expect.watcher import MAX_DEVICES, quantified

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

NOTHING_HEARD = "Nothing was heard from the gateway at all: no message reached any device."


class Findings(NamedTuple):
    """The outcomes in the order of the scenario, and what is true of the run as a whole."""

    outcomes: list[Outcome]
    notes: list[str]


def merge(exports: Sequence[Mapping[str, Any]]) -> Findings:
    """The findings of judges that each saw a part of the devices; see `Judge.export`.

    The first of them is the one that was told of the gateway's process.
    """
    silent = _gateway_was_silent(exports)
    outcomes = [
        outcome_of(number, parts, silent=silent)
        for number, parts in enumerate(zip(*(e["items"] for e in exports), strict=True))
    ]
    return Findings(outcomes, [NOTHING_HEARD] if silent else [])


def outcome_of(number: int, parts: Sequence[Mapping[str, Any]], *, silent: bool = False) -> Outcome:
    """The outcome of expectation `number`, of what each judge exported of it.

    `silent`: nothing was heard from the gateway, so that there is nothing near to show.
    """
    if parts[0]["kind"] == "gateway":
        return _gateway_outcome(number, parts)
    return _outcome(number, parts, silent=silent)


def _gateway_was_silent(exports: Sequence[Mapping[str, Any]]) -> bool:
    told = [export["gateway_heard"] for export in exports]
    known = [
        item["heard"]
        for export in exports
        for item in export["items"]
        if item["kind"] != "gateway" and item["direction"] == "receives" and item["devices"]
    ]
    if any(told) or not known:
        return False  # where nobody asks what comes from the gateway, its silence is no news
    if False in told:
        return True
    return False in known and True not in known


def _gateway_outcome(number: int, parts: Sequence[Mapping[str, Any]]) -> Outcome:
    """Of several judges, only the first one is told of the gateway's process."""
    told = parts[0]
    return Outcome(
        name=told["name"],
        kind="gateway",
        passed=not told["failed"],
        severity=told["severity"],
        expected=told["expected"],
        actual=told["text"] if told["failed"] else "so it was",
        place=told["place"],
        t=told["decided_at"],
        number=number,
    )


def _outcome(number: int, parts: Sequence[Mapping[str, Any]], *, silent: bool) -> Outcome:
    first = parts[0]
    error = next((part["error"] for part in parts if part["error"]), "")
    common = {
        "name": first["name"],
        "kind": first["kind"],
        "severity": first["severity"],
        "expected": _expected(first),
        "place": first["place"],
        "error": error,
        "number": number,
    }
    if first["quantifier"] == "all":
        why = _pool_failure(parts)
        near = "" if silent else next((part["text"] for part in parts if part["text"]), "")
        if not why:
            return Outcome(
                **common, passed=True, actual="together they did", t=_decided_at(parts, True)
            )
        actual = _with_ending(why, parts)
        return Outcome(
            **common,
            passed=False,
            actual=actual,
            nearest=near if near != why else "",
            t=_decided_at(parts, False),
        )
    held = sum(part["held"] for part in parts)
    broken = sum(part["broken"] for part in parts)
    if quantified(first["quantifier"], held, broken):
        actual = _passed_text(first, held, broken)
        return Outcome(**common, passed=True, actual=actual, t=_decided_at(parts, True))
    culprits = [culprit for part in parts for culprit in part["culprits"]]
    culprits = sorted(culprits, key=itemgetter(0, 2))[:MAX_DEVICES]
    names = tuple(f"{name}[{index}]" for _, name, index, _, _ in culprits)
    details = tuple(detail for *_, detail in culprits)
    devices = sum(part["devices"] for part in parts)
    total = held if first["quantifier"] == "none" else broken
    nearest = ""
    near = [part["nearest"] for part in parts if part["nearest"]] or culprits
    if near and not silent:
        _, name, index, _, detail = min(near, key=lambda told: (told[3], told[0], told[2]))
        nearest = f"{name}[{index}]: {detail}" if detail else ""
    failing = _failed_text(first, total, devices, names)
    if first["quantifier"] != "none":  # there, what should not come has come, however the run ended
        failing = _with_ending(failing, parts)
    return Outcome(
        **common,
        passed=False,
        actual=failing,
        nearest=nearest,
        devices=names,
        details=() if silent else details,
        total=total,
        t=_decided_at(parts, False),
    )


def _decided_at(parts: Sequence[Mapping[str, Any]], verdict: bool) -> float | None:
    """When all parts together had come to `verdict`; None: at the end only."""
    times = [part["decided_at"] for part in parts if part["devices"]]
    if verdict == (parts[0]["quantifier"] == "any"):  # the first part to say so was enough
        deciding = [part["decided_at"] for part in parts if part["verdict"] == verdict]
        return min((t for t in deciding if t is not None), default=None)
    return None if None in times else max(times, default=None)


def _expected(item: Mapping[str, Any]) -> str:
    whom, predicate = item["whom"], item["expected"]
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


def _passed_text(item: Mapping[str, Any], held: int, broken: int) -> str:
    if item["quantifier"] == "any":
        return "at least one did"
    if item["quantifier"] == "none":
        return f"none of {broken} did"
    if item["kind"] == "never":
        return "it did not" if held == 1 else f"none of {held} did"
    return "it did" if held == 1 else f"all {held} did"


def _failed_text(item: Mapping[str, Any], total: int, devices: int, names: Sequence[str]) -> str:
    named = text.names_text(names, total)
    if item["quantifier"] == "any":
        return f"none of the {devices} did"
    # For a `never`, to hold means that nothing came; the device that fails is one that did hear it.
    did = "did" if (item["quantifier"] == "none") != (item["kind"] == "never") else "did not"
    if devices == 1:
        return f"{named} {did}"
    if total == devices > MAX_DEVICES:
        return f"all {devices} {did}" if did == "did" else f"none of {devices} did"
    return f"{total} of {devices} {did}: {named}"


def _with_ending(actual: str, parts: Sequence[Mapping[str, Any]]) -> str:
    ending = next((part["ending"] for part in parts if part["ending"]), "")
    return f"{actual}; {ending}" if ending else actual


def _pool_failure(parts: Sequence[Mapping[str, Any]]) -> str:
    """Why the pool of all parts breaks the expectation; "" where it holds."""
    pools = [part["pool"] for part in parts]
    if parts[0]["kind"] == "within":
        return "" if any(pool["held"] for pool in pools) else "none of them did"
    if "count" in pools[0]:
        count = sum(pool["count"] for pool in pools)
        minimum, maximum = pools[0]["minimum"], pools[0]["maximum"]
        right = count >= minimum and (maximum is None or count <= maximum)
        return "" if right else f"{count} came"
    if "times" in pools[0]:
        return judge_parts(pools)
    if not any(part["broken"] for part in parts):
        return ""
    return next((part["text"] for part in parts if part["broken"] and part["text"]), "they did not")
