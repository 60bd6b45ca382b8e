"""``iotsim show``: the events of a past run, chosen and told in a line each."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, TypeAlias, TypeVar

import cyclopts

from iotsim.cli.app import EXIT_EMPTY, EXIT_ERROR

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from iotsim.events import Outcome
    from iotsim.results.result import RunResult
    from iotsim.results.view import Choice, Seen, Teller, Where
    from iotsim.run.past import PastRun

T = TypeVar("T")
Option: TypeAlias = Annotated[T, cyclopts.Parameter(negative=(), show_default=False)]


def show(
    results: str = "last",
    /,
    *,
    device: Option[tuple[str, ...]] = (),
    from_: Annotated[str, cyclopts.Parameter(name="--from", show_default=False)] = "",
    to: Option[str] = "",
    kind: Option[tuple[str, ...]] = (),
    where: Option[str] = "",
    around: Option[str] = "",
    json: Option[bool] = False,
) -> int:
    """Show what happened in a run: its events, those that are wanted, a line each.

    Parameters
    ----------
    results
        A results folder; 'last', the newest one, and of a suite the first run that did not pass; or a
        scenario, by its name or file: the newest of it.
    device
        Only of these devices: 'meter', 'meter[3]', 'meter[0:10]'. May be given several times.
    from_
        From this time of the run on, such as '2s' or '1m30s'.
    to
        Up to this time of the run.
    kind
        Only events of these kinds: 'received', 'sent', 'undecodable', ... May be given several times, or
        with commas.
    where
        Only events for which this expression holds, in the language of scenarios: 'msg.kind == "READ"'.
        There are msg, request (what a message answers), device.name, device.index, device.address and t.
    around
        What the devices that made this expectation fail heard and said when what made them fail took place,
        and what came of it on the gateway's other side. Its name, or a part of it; of a suite, the run that
        has it.
    json
        The lines of events.jsonl as they are; what is told besides goes to standard error.
    """
    from iotsim.expect.text import plural
    from iotsim.results.view import Choice, Teller, choose
    from iotsim.run.lookup import find_results
    from iotsim.run.past import PastRun

    past = PastRun(find_results(results, expectation=around))
    result = past.result
    condition = _parse_where(where, result) if where else None
    chosen = Choice(
        device=_parse_devices(device, result),
        start=_parse_time(from_, "--from", float("-inf")),
        end=_parse_time(to, "--to", float("inf")),
        kinds=_parse_kinds(kind),
        where=condition,
    )
    teller = Teller(_width(result))
    printer = _Printer(json=json)
    if around:
        _show_around(_find_expectation(around, result), past, chosen, printer, teller)
    else:
        printer.all(choose(past.lines(), chosen), teller)
    printer.tell(f"{plural(printer.count, 'event')} of {result.scenario} in {past.folder}")
    if result.verdict == "running":
        printer.tell("the run has not ended: it is still running, or was killed")
    if condition is not None:
        _complain(condition, printer.count)
        if condition.failed and not printer.count:
            return EXIT_ERROR
    return 0 if printer.count else EXIT_EMPTY


def _show_around(
    outcome: Outcome, past: PastRun, chosen: Choice, printer: _Printer, teller: Teller
) -> None:
    """What led to an outcome: where its devices failed at times of their own, around each of the first."""
    from iotsim.results.summary import GROUPS_SHOWN, groups_of
    from iotsim.results.view import BEFORE, MOMENTS, around, choose

    wanted = chosen.device
    told = zip(outcome.devices, outcome.details, strict=False)
    places: Sequence[tuple[Sequence[str], float | None, str]] = [
        ([device], outcome.moment(place), f"{device}: {text}")
        for place, (device, text) in enumerate(told)
        if wanted is not None and wanted(device)
    ]
    places = places[:GROUPS_SHOWN]
    if wanted is None:
        groups = groups_of(outcome)
        places = [([one.devices[0]], one.t, str(one)) for one in groups]
    if all(t == outcome.t for _, t, _ in places):
        places = [(outcome.devices, outcome.t, "")]
    for devices, t, text in places:
        own = _of_devices(chosen, devices, outcome, MOMENTS)
        earlier, later = around(choose(past.lines(), own), t)
        printer.all(earlier, teller)
        printer.tell(teller.mark(t, text or _decision(outcome)))
        printer.all(later, teller)
        if len(earlier) >= BEFORE:
            printer.tell(f"before these there was more: --to {earlier[0].t:.6f}s")
    if places[0][2]:
        printer.tell(teller.mark(outcome.t, _decision(outcome)))


class _Printer:
    """Prints events; `json`: their lines as they are, and what else there is to tell on standard error."""

    def __init__(self, *, json: bool) -> None:
        self._json = json
        self.count = 0

    def all(self, events: Iterator[Seen] | Sequence[Seen], teller: object) -> None:
        from iotsim.cli.streams import is_heard
        from iotsim.results.view import Teller
        from iotsim.safetext import safe_json

        assert isinstance(teller, Teller)
        for seen in events:
            if self._json:
                line = safe_json(seen.line.decode("utf-8", "replace").rstrip("\r\n"))
            else:
                line = teller.line(seen)
            sys.stdout.write(line + "\n")
            self.count += 1
            if not is_heard():
                return

    def tell(self, text: str) -> None:
        from iotsim.safetext import safe_line

        print(safe_line(text), file=sys.stderr if self._json else sys.stdout)


def _parse_devices(texts: Sequence[str], result: RunResult) -> Callable[[str], bool] | None:
    """Whether a device is one of those that are selected; None if all are."""
    if not texts:
        return None
    from iotsim.errors import Problem, ScenarioError
    from iotsim.scenario.selectors import SelectorError, merged, select

    counts = {
        name: count
        for name, about in result.fleets.items()
        if isinstance(count := about.get("count"), int)
    }
    selections = []
    for text in texts:
        try:
            selections.append(select(text, counts, result.seed))
        except SelectorError as error:
            hint = error.hint or f"fleets: {', '.join(counts)}"
            raise ScenarioError([Problem(str(error), "--device", hint=hint)]) from None
        except ValueError as error:
            raise ScenarioError([Problem(str(error), "--device")]) from None
    indexes = {
        one.fleet: one.indexes if isinstance(one.indexes, range) else frozenset(one.indexes)
        for one in merged(selections)
    }

    def is_wanted(name: str) -> bool:
        fleet, _, index = name.removesuffix("]").rpartition("[")
        wanted = indexes.get(fleet)
        return wanted is not None and index.isdecimal() and int(index) in wanted

    return is_wanted


def _parse_time(text: str, option: str, default: float) -> float:
    from iotsim.cli.parameters import option_duration

    return option_duration(text, option) if text else default


def _parse_kinds(texts: Sequence[str]) -> frozenset[str] | None:
    if not texts:
        return None
    from iotsim.errors import Problem, ScenarioError
    from iotsim.results.formats import kinds
    from iotsim.scenario.problems import nearest

    wanted = [kind.strip() for text in texts for kind in text.split(",")]
    known = list(kinds())
    wrong = [kind for kind in wanted if kind not in known]
    if wrong:
        raise ScenarioError(
            Problem(
                f"there is no kind of event {kind!r}",
                "--kind",
                hint=nearest(kind, known) or f"kinds: {', '.join(known)}",
            )
            for kind in wrong
        )
    return frozenset(wanted)


def _parse_where(text: str, result: RunResult) -> Where:
    from iotsim.errors import ExpressionError, IotsimError
    from iotsim.results.devices import address_in
    from iotsim.results.view import Where

    expression = text.strip().removeprefix("=").strip()
    try:
        return Where(expression, lambda name: address_in(result.fleets, name))
    except ExpressionError as error:
        reason = f"{error.reason} ({error.hint})" if error.hint else error.reason
        if error.reason.startswith("the state has no"):
            reason = "events do not tell what is in the state of a device"
        elif error.reason.startswith("unknown name"):
            reason = f"{error.reason}: the fields of a message are msg.NAME"
        place = ""
        if error.column and "\n" not in expression:
            place = f"\n  {expression}\n  {' ' * (error.column - 1)}^"
        raise IotsimError(f"--where: {reason}{place}") from None


def _find_expectation(text: str, result: RunResult) -> Outcome:
    """The expectation that is called so, or that has this in its name; of several, the one that failed."""
    from iotsim.errors import Problem, ScenarioError

    outcomes = result.expectations
    found = [outcome for outcome in outcomes if outcome.name == text]
    found = found or [o for o in outcomes if text.casefold() in o.name.casefold()]
    failed = [outcome for outcome in found if not outcome.passed]
    found = failed or found
    if len(found) > 1 and len({outcome.name for outcome in found}) > 1:
        names = ", ".join(repr(outcome.name) for outcome in found[:5])
        raise ScenarioError([Problem(f"{text!r} may be any of {names}", "--around")])
    if not found:
        names = ", ".join(repr(outcome.name) for outcome in outcomes[:5]) or "none"
        hint = f"decided were: {names}"
        raise ScenarioError([Problem(f"there is no expectation {text!r}", "--around", hint=hint)])
    return found[0]


def _of_devices(
    chosen: Choice, devices: Sequence[str], outcome: Outcome, moments: frozenset[str]
) -> Choice:
    """`chosen`, of these devices that made an expectation fail alone, with what may have been the cause, and
    with what the services got that it looks at."""
    if devices and (chosen.device is None or devices != outcome.devices):
        chosen = chosen._replace(device=frozenset(devices).__contains__)
    elif chosen.device is None:
        return chosen
    chosen = chosen._replace(services=outcome.services)
    return chosen if chosen.kinds is not None else chosen._replace(besides=moments)


def _decision(outcome: Outcome) -> str:
    state = "held" if outcome.passed else "inconclusive" if outcome.inconclusive else "failed"
    return f"{state}: {outcome.name}: {outcome.actual}"


def _complain(where: Where, shown: int) -> None:
    """Say what may be wrong with an expression: that it failed, or asks for a field that nothing has."""
    from iotsim.expect.text import plural

    if where.failed and where.error is not None:
        reason = getattr(where.error, "reason", where.error)
        failed = plural(where.failed, "event")
        print(f"iotsim: --where: it failed for {failed}: {reason}", file=sys.stderr)
    if shown or not where.fields:
        return
    missing = [name for name in where.expression.fields if name.split(".")[0] not in where.fields]
    if missing:
        names = ", ".join(list(where.fields)[:20])
        print(
            f"iotsim: --where: no message has a field '{missing[0]}'; there are: {names}",
            file=sys.stderr,
        )


def _width(result: RunResult) -> int:
    """How long the longest name of a device is."""
    names = [
        f"{name}[{max(count - 1, 0)}]"
        for name, about in result.fleets.items()
        if isinstance(count := about.get("count"), int)
    ]
    return max(map(len, names), default=0)
