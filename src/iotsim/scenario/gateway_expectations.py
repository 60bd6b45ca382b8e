"""``gateway = { … }`` in ``[[expect]]``: what is expected of the gateway's process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from iotsim.expect.spec import ExpectSpec, GatewayExpectation
from iotsim.scenario.schema import LONGEST_TEXT, Model, Regex, check

if TYPE_CHECKING:
    from collections.abc import Mapping

    from iotsim.match.pattern import Pattern
    from iotsim.scenario.expectations import ExpectTable
    from iotsim.scenario.model import GatewaySpec
    from iotsim.scenario.problems import Problems
    from iotsim.scenario.toml import Keys


class GatewayExpectTable(Model):
    running: bool | None = None
    exit: Annotated[int, Field(ge=0, le=255)] | None = None
    stdout: Any = None


class StdoutTable(Model):
    contains: Annotated[str, Field(min_length=1, max_length=LONGEST_TEXT)] | None = None
    regex: Regex = None
    not_: Annotated[Regex, Field(alias="not")] = None


def gateway_expectation(
    table: ExpectTable,
    raw: Mapping[str, Any],
    gateway: GatewaySpec | None,
    keys: Keys,
    problems: Problems,
) -> ExpectSpec | None:
    """What `table` expects of `gateway`, still without its name, severity and place."""
    for key in raw:
        if key not in ("name", "gateway", "within", "severity"):
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
        problems.add(inner, "asks nothing: give it 'running', 'exit' or 'stdout'")
    if asked.running is True and asked.exit is not None:
        problems.add((*inner, "exit"), "what is running has not exited", of_key=True)
    _check_exit(asked, gateway, (*inner, "exit"), problems)
    contains, regex, without = _stdout(asked.stdout, (*inner, "stdout"), problems)
    if table.within is not None and not contains and regex is None:
        message = "'within' is for what 'stdout' must contain"
        problems.add((*keys, "within"), message, of_key=True)
    return ExpectSpec(
        name="",
        kind="gateway",
        within_s=table.within,
        gateway=GatewayExpectation(asked.running, asked.exit, contains, regex, without),
    )


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
