"""``gateway = { … }`` in ``[[expect]]``: what is expected of the gateway's process."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BeforeValidator, Field

from iotsim.expect.figures import WINDOW_S
from iotsim.expect.spec import Bound, ExpectSpec, GatewayExpectation
from iotsim.scenario.schema import (
    LONGEST_TEXT,
    Duration,
    Holds,
    Model,
    Regex,
    check,
    from_text,
    is_table,
    keys_of,
)
from iotsim.units import parse_size

if TYPE_CHECKING:
    from collections.abc import Mapping

    from iotsim.match.pattern import Pattern
    from iotsim.scenario.expectations import ExpectTable
    from iotsim.scenario.horizon import Horizon
    from iotsim.scenario.model import GatewaySpec
    from iotsim.scenario.problems import Problems
    from iotsim.scenario.toml import Keys


WARMUP_S = 1.0
"""For this long after it is ready, a gateway may open what it needs, unless the scenario says otherwise."""
MOST_AMOUNT = 1 << 53
MOST_CORES = 4096


def _cores(text: str) -> float:
    """A share of one core, which may be more than all of it."""
    number = text.strip().removesuffix("%").rstrip()
    if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", number) or not text.strip().endswith("%"):
        raise ValueError("must be a share of one core, such as '60%'; two whole ones are '200%'")
    share = float(number) / 100
    if not 0 < share <= MOST_CORES:
        raise ValueError(f"must be more than 0% and at most {100 * MOST_CORES}%")
    return share


Amount = Annotated[int, Field(ge=0, le=MOST_AMOUNT)]
Size = Annotated[int, BeforeValidator(from_text(parse_size, "'200MB'"))]
Cores = Annotated[float, BeforeValidator(from_text(_cores, "'60%'"))]
BoundTable = Annotated[dict[str, Any], BeforeValidator(is_table("{ max = 40 }"))]


class GatewayExpectTable(Model):
    running: bool | None = None
    exit: Annotated[int, Field(ge=0, le=255)] | None = None
    stdout: Annotated[Any, Holds(lambda: StdoutTable, {"type": "string"})] = None
    sanitizer: bool | None = None
    fds: Annotated[BoundTable, Holds(lambda: FdsTable)] | None = None
    memory: Annotated[BoundTable, Holds(lambda: SizeTable)] | None = None
    cpu: Annotated[BoundTable, Holds(lambda: CpuTable)] | None = None
    threads: Annotated[BoundTable, Holds(lambda: ThreadsTable)] | None = None
    children: Annotated[BoundTable, Holds(lambda: ChildrenTable)] | None = None


class AmountTable(Model):
    max: Amount | None = None
    growth: Amount | None = None
    warmup: Duration | None = None


class FdsTable(AmountTable):
    pass


class ThreadsTable(AmountTable):
    pass


class ChildrenTable(AmountTable):
    pass


class SizeTable(Model):
    max: Size | None = None
    growth: Size | None = None
    warmup: Duration | None = None


class CpuTable(Model):
    max: Cores


class StdoutTable(Model):
    contains: Annotated[str, Field(min_length=1, max_length=LONGEST_TEXT)] | None = None
    regex: Regex = None
    not_: Annotated[Regex, Field(alias="not")] = None


def gateway_expectation(
    table: ExpectTable,
    raw: Mapping[str, Any],
    gateway: GatewaySpec | None,
    keys: Keys,
    horizon: Horizon,
    problems: Problems,
) -> ExpectSpec | None:
    """What `table` expects of `gateway`, still without its name, severity and place."""
    for key in raw:
        if key not in ("name", "gateway", "within", "severity", "after"):
            message = "an expectation of the gateway says nothing about devices"
            problems.add((*keys, key), message, of_key=True)
    inner = (*keys, "gateway")
    if gateway is None or not gateway.command:
        message = "there is no process to look at: [gateway] has no 'command'"
        problems.add(inner, message, of_key=True)
    if table.gateway is None:
        return None
    asked = check(GatewayExpectTable, table.gateway, inner, problems)
    if asked is None:
        return None
    if not table.gateway:
        problems.add(
            inner, f"asks nothing: give it one of {', '.join(keys_of(GatewayExpectTable))}"
        )
    if asked.running is True and asked.exit is not None:
        problems.add((*inner, "exit"), "what is running has not exited", of_key=True)
    _check_exit(asked, gateway, (*inner, "exit"), problems)
    if asked.sanitizer:
        message = "write sanitizer = false: it says that no sanitizer has anything to report"
        problems.add((*inner, "sanitizer"), message)
    contains, regex, without = _stdout(asked.stdout, (*inner, "stdout"), problems)
    if table.within is not None and not contains and regex is None:
        message = "'within' is for what 'stdout' must contain"
        problems.add((*keys, "within"), message, of_key=True)
    return ExpectSpec(
        name="",
        kind="gateway",
        after=table.after or "",
        within_s=table.within,
        gateway=GatewayExpectation(
            running=asked.running,
            exit=asked.exit,
            stdout_contains=contains,
            stdout_regex=regex,
            stdout_not=without,
            no_report=asked.sanitizer is False,
            fds=_bound(asked.fds, (*inner, "fds"), horizon, problems),
            memory=_bound(asked.memory, (*inner, "memory"), horizon, problems, SizeTable),
            threads=_bound(asked.threads, (*inner, "threads"), horizon, problems),
            children=_bound(asked.children, (*inner, "children"), horizon, problems),
            cpu_max=_cpu(asked.cpu, (*inner, "cpu"), problems),
        ),
    )


def _bound(
    raw: Mapping[str, Any] | None,
    keys: Keys,
    horizon: Horizon,
    problems: Problems,
    model: type[AmountTable | SizeTable] = AmountTable,
) -> Bound | None:
    if raw is None:
        return None
    table = check(model, raw, keys, problems)
    if table is None:
        return None
    if "max" not in raw and "growth" not in raw and not raw.keys() - keys_of(model):
        problems.add(keys, "asks nothing: give it 'max' or 'growth'")
    if table.growth is None:
        if "warmup" in raw:
            problems.add((*keys, "warmup"), "'warmup' is for 'growth'", of_key=True)
        return Bound(table.max)
    warmup_s = WARMUP_S if table.warmup is None else table.warmup
    # Whatever the tolerance and the speed, growth is between two windows of a real second.
    needed_s = warmup_s + 2 * WINDOW_S * horizon.pace / horizon.tolerance
    if late := horizon.window(needed_s, horizon.ready_s):
        hint = horizon.hint
        problems.add((*keys, "growth"), f"cannot be told in so short a run: {late}", hint)
    return Bound(table.max, table.growth, warmup_s)


def _cpu(raw: Mapping[str, Any] | None, keys: Keys, problems: Problems) -> float | None:
    if raw is None:
        return None
    table = check(CpuTable, raw, keys, problems)
    return None if table is None else table.max


def _check_exit(
    asked: GatewayExpectTable, gateway: GatewaySpec | None, keys: Keys, problems: Problems
) -> None:
    """An exit that is not the one of ``[gateway]`` is a crash, which fails the run anyhow."""
    if asked.exit is None or gateway is None:
        return
    right = gateway.expect_exit or 0
    if asked.exit != right:
        message = f"with this status, the gateway has crashed: its 'expect_exit' is {right}"
        problems.add(keys, message, f"write expect_exit = {asked.exit} in [gateway]")


def _stdout(
    value: Any, keys: Keys, problems: Problems
) -> tuple[str, Pattern | None, Pattern | None]:
    if value is None:
        return "", None, None
    raw = {"contains": value} if isinstance(value, str) else value
    table = check(StdoutTable, raw, keys, problems)
    if table is None:
        return "", None, None
    if not raw:
        problems.add(keys, "asks nothing: give it 'contains', 'regex' or 'not'")
    return table.contains or "", table.regex, table.not_
