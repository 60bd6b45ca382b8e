"""``iotsim explain SCENARIO --to DEVICE HEX``: what a device would do about a datagram, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import cyclopts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from iotsim.device.explain import RuleReport
    from iotsim.run.dryrun import Compared, DryRun

HEX_BYTES_A_LINE = 32
MOST_RULES = 20
MOST_MISMATCHES = 3
"""An expectation that differs in more fields is not near."""


def explain(
    scenario: str,
    *hex_: Annotated[str, cyclopts.Parameter(name="HEX")],
    to: str,
    from_: Annotated[str, cyclopts.Parameter(name="--from")] = "",
    at: str = "",
    port: int = 0,
    state: Annotated[list[str] | None, cyclopts.Parameter(negative=())] = None,
    set_: Annotated[list[str] | None, cyclopts.Parameter(name="--set", negative=())] = None,
    seed: int | None = None,
) -> int:
    """Say what a device would do about a datagram, and why: what it decodes to, which rule answers or why
    none does, what is sent, and which expectations are about it.

    Nothing is sent on any network: the device is simulated by itself, in virtual time.

    Parameters
    ----------
    scenario
        A file, or the name of a bundled scenario.
    hex_
        The datagram in hex.
    to
        The device, such as 'meter[3]'.
    from_
        'ADDRESS:PORT' of the sender; left out, the gateway.
    at
        When it comes: a time of the run, such as '5s'; left out, as soon as the device has booted.
    port
        To which of the device's ports, where it has several protocols; left out, that of the first.
    state
        NAME=VALUE: what the device remembers by then. May be given several times.
    set_
        'NAME=VALUE': the value of '${NAME}' in the scenario.
    seed
        As in a run: what delays and signals are drawn by.
    """
    from iotsim.cli.files import find_scenarios
    from iotsim.cli.hexadecimal import parse_hex
    from iotsim.cli.parameters import option_duration, parse_set, parse_values
    from iotsim.errors import Problem, ScenarioError
    from iotsim.run.dryrun import Asked, dry_run
    from iotsim.run.project import find_project
    from iotsim.scenario import Overrides, load_scenario
    from iotsim.units import parse_endpoint

    files, _ = find_scenarios([scenario])
    if len(files) != 1:
        raise ScenarioError([Problem(f"that is {len(files)} scenarios, and not one", scenario)])
    try:
        payload = parse_hex(" ".join(hex_))
    except ValueError as error:
        raise ScenarioError([Problem(f"that is not a datagram in hex: {error}", "HEX")]) from None
    try:
        source = parse_endpoint(from_) if from_ else None
    except ValueError as error:
        raise ScenarioError([Problem(str(error), "--from")]) from None
    asked = Asked(
        payload,
        source=source,
        at_s=option_duration(at, "--at") if at else None,
        port=port or None,
        state=parse_values(state or [], "--state"),
    )
    overrides = Overrides(
        parameters=parse_set(set_ or []), seed=seed, protocols=find_project().protocols
    )
    done = dry_run(load_scenario(files[0], overrides=overrides), to, asked)
    for line in describe(done):
        print(line)
    return 0


def describe(done: DryRun) -> Iterator[str]:
    """What `done` tells, for people."""
    from iotsim.expect.text import moment, plural
    from iotsim.safetext import safe_line
    from iotsim.wire.address import format_endpoint

    own, peer = format_endpoint(done.address, done.port), format_endpoint(*done.peer)
    size = plural(len(done.dissection.data), "byte")
    yield f"{done.device} ({own}), {moment(done.t)}: {size} of {done.service.protocol.name} from {peer}"
    yield ""
    for line in done.dissection.lines():
        yield f"  {line}"
    for failed in done.failures:
        yield ""
        yield safe_line(f"{moment(failed.t)}: {failed.device} failed: {failed.error}")
    yield from _handed(done)
    yield from _answers(done)
    yield from _expectations(done)


def _handed(done: DryRun) -> Iterator[str]:
    """What the rules make of each message that came of the datagram."""
    from iotsim.expect.text import message_text
    from iotsim.safetext import safe_line

    if done.dissection.message is None:
        yield ""
        yield "It is no message, so no rule is asked."
        return
    if not done.handed:
        yield ""
        session = done.service.protocol.session is not None
        yield "Its session deals with it, and asks no rule." if session else "It reaches no rule."
    for handed in done.handed:
        if handed.message != done.dissection.message:
            yield ""
            yield safe_line(f"What reaches the device: {message_text(handed.message)}")
        yield ""
        yield from _rules(handed.rules)


def _rules(reports: list[RuleReport]) -> Iterator[str]:
    from iotsim.device.explain import nearest_first, rule_text
    from iotsim.safetext import safe_line

    deciding = next((report for report in reports if report.applies), None)
    if deciding is not None:
        yield safe_line(f"It is decided by {rule_text(deciding.rule)}, the first that applies.")
        before = reports[: reports.index(deciding)]
        if before:
            yield "Those before it do not apply:"
    elif reports:
        before = nearest_first(reports)
        yield "No rule applies. The nearest first:"
    else:
        before = []
        yield "There are no rules about messages."
    for report in before[:MOST_RULES]:
        yield safe_line(f"  {rule_text(report.rule)}: {', '.join(report.differences)}")
    if len(before) > MOST_RULES:
        yield f"  and {len(before) - MOST_RULES} more"


def _answers(done: DryRun) -> Iterator[str]:
    from iotsim.events import DeviceFailed, Note, NotSent, SessionFailed
    from iotsim.expect.text import message_text
    from iotsim.safetext import safe_line
    from iotsim.units import format_duration

    applied = any(report.applies for handed in done.handed for report in handed.rules)
    who = "The device"
    if done.answers and not applied:
        session = done.service.protocol.session is not None
        others = [
            *(["its behavior"] if done.has_behavior else []),
            *(["its protocol"] if session else []),
        ]
        who = " or ".join(others).capitalize() or who
    yield ""
    for answer in done.answers:
        after = format_duration(round(answer.t - done.t, 6))
        when = f" after {after}" if answer.t > done.t else ""
        said = "what cannot be decoded" if answer.message is None else message_text(answer.message)
        yield safe_line(f"{who} answers{when}: {said}")
        for start in range(0, len(answer.payload), HEX_BYTES_A_LINE):
            yield f"  {answer.payload[start : start + HEX_BYTES_A_LINE].hex(' ')}"
    if not done.answers:
        yield f"Nothing is answered ({done.outcome})."
    for event in done.events:
        if isinstance(event, NotSent):
            yield safe_line(f"It could not be sent: {event.reason}")
        elif isinstance(event, DeviceFailed | SessionFailed):
            yield safe_line(f"{event.device} failed: {event.error}")
        elif isinstance(event, Note):
            yield safe_line(f"Note: {event.text}")


def _expectations(done: DryRun) -> Iterator[str]:
    """The expectations that the datagram or its answers are for, and those that they nearly are for."""
    from iotsim.safetext import safe_line

    near = [one for one in done.compared if _is_near(one)]
    if not near:
        return
    yield ""
    yield "Expectations that are about it:"
    for one in sorted(near, key=lambda one: len(one.mismatches)):
        yield safe_line(f"  {_compared(one)}")


def _is_near(one: Compared) -> bool:
    """Whether it matches, or differs in one field, or in a few of more."""
    asked = len(one.look.matcher.conditions)
    differing = len(one.mismatches)
    return differing <= 1 or differing <= min(MOST_MISMATCHES, asked - 1)


def _compared(one: Compared) -> str:
    spec = one.expectation
    text = one.look.text
    place = f" ({spec.place})" if spec.place else ""
    if not one.mismatches:
        return f"matches '{spec.name}'{place}: {text}"
    differences = ", ".join(
        f"{mismatch.field} is {mismatch.actual} instead of {mismatch.expected}"
        for mismatch in one.mismatches
    )
    return f"nearly  '{spec.name}'{place}: {text}; {differences}"
