"""``[gateway]``: who talks to the devices."""

from __future__ import annotations

import re
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

from pydantic import BeforeValidator, Field

from iotsim.capabilities import parse_capability
from iotsim.scenario.addresses import host_address
from iotsim.scenario.gateway_steps import first_start
from iotsim.scenario.horizon import horizon_of
from iotsim.scenario.model import GatewaySpec, ReadySpec, RestartPolicy, RestartSpec
from iotsim.scenario.programs import Command, Environment, check_program
from iotsim.scenario.schema import (
    Duration,
    Holds,
    Model,
    Port,
    Regex,
    Text,
    Texts,
    check,
    from_text,
    is_table,
    written,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from iotsim.scenario.loading import Loading
    from iotsim.scenario.model import Scenario
    from iotsim.scenario.problems import Problems
    from iotsim.scenario.toml import Keys

LEAST_RESTART_DELAY_S = 0.1
STOP_SIGNALS = ("SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGKILL")


def _signal_name(value: str) -> str:
    name = value.upper() if value.upper().startswith("SIG") else f"SIG{value.upper()}"
    if name not in STOP_SIGNALS:
        raise ValueError(f"not a signal that stops a process; there are {', '.join(STOP_SIGNALS)}")
    return name


def _user(value: Any) -> Any:
    """A name, or a number, which may be written as one."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not re.fullmatch(
        r"[A-Za-z0-9_][A-Za-z0-9_.@$-]{0,255}", value
    ):
        raise ValueError("must be the name or the number of a user")
    return value


NEED_COMMAND = (
    *("env", "cwd", "ready", "stop_signal", "expect_exit"),
    *("user", "capabilities", "terminal", "stdin", "restart"),
)
"""Keys about a process that we start."""


class ReadyTable(Model):
    log: Regex = None
    udp: Port | None = None
    tcp: Port | None = None
    delay: Duration | None = None


Ready = Annotated[
    dict[str, Any], BeforeValidator(is_table('{ log = "^listening" }')), Holds(ReadyTable)
]


class RestartTable(Model):
    policy: Literal["never", "on-crash", "always"] = "on-crash"
    delay: Annotated[Duration, Field(ge=LEAST_RESTART_DELAY_S)] = RestartSpec.delay_s
    times: Annotated[int, Field(ge=1, le=1 << 31)] | None = None


class GatewayTable(Model):
    command: Command | None = None
    env: Environment = {}
    cwd: Text | None = None
    address: Text | None = None
    port: Port | None = None
    ready: Ready | None = None
    stop_signal: Annotated[str, BeforeValidator(from_text(_signal_name, "'SIGTERM'"))] = "SIGTERM"
    expect_exit: Annotated[int, Field(ge=0, le=255)] | None = None
    user: Annotated[str, BeforeValidator(written(_user, type=["string", "integer"]))] = ""
    capabilities: Texts | None = None
    terminal: bool = True
    stdin: Text | None = None
    restart: Annotated[Any, Holds(RestartTable, {"enum": [*get_args(RestartPolicy)]})] = None


def build_gateway(scenario: Scenario, loading: Loading) -> Scenario:
    problems = loading.problems
    gateway = _gateway(loading.tables["gateway"], problems)
    if gateway is None:
        return scenario
    kind = scenario.link.kind
    if gateway.command and kind == "memory":
        message = "no gateway process can reach a memory link, which is inside of iotsim's own"
        hint = "use --link tun or loopback"
        problems.add(("gateway", "command"), message, hint, of_key=True)
    if kind == "loopback":
        gateway = replace(gateway, address=None)  # there, it is the link's whatever it was
    waits, starts_s = first_start(loading.tables.get("step", []))
    gateway = replace(gateway, waits=waits, starts_s=starts_s)
    horizon = horizon_of(replace(scenario, gateway=gateway), loading)
    if late := horizon.moment(horizon.ready_s):
        message = f"the gateway would never be ready: {late}"
        problems.add(("gateway", "ready", "delay"), message, horizon.hint)
        gateway = replace(gateway, ready=None)
    return replace(scenario, gateway=gateway)


def _gateway(raw: Any, problems: Problems) -> GatewaySpec | None:
    keys: Keys = ("gateway",)
    table = check(GatewayTable, raw, keys, problems)
    if table is None:
        return None
    command = tuple(table.command or ())
    if "command" not in raw:
        for key in NEED_COMMAND:
            if key in raw:
                message = f"'{key}' is for a gateway with a 'command'"
                problems.add((*keys, key), message, of_key=True)
    check_program(command, table.env, keys, problems)
    if table.cwd is not None and (not table.cwd or "\0" in table.cwd):
        problems.add((*keys, "cwd"), "no name of a folder")
    if table.stdin is not None and (not table.stdin or "\0" in table.stdin):
        problems.add((*keys, "stdin"), "must be 'open', or the name of a file")
    address = None
    if table.address is not None:
        with problems.at(*keys, "address"):
            address = host_address(table.address)
    if table.address is not None and "port" not in raw:
        message = "'address' needs 'port', too: both are where devices send to"
        problems.add((*keys, "address"), message, of_key=True)
    return GatewaySpec(
        command=command,
        env=MappingProxyType(dict(table.env)),
        cwd=table.cwd,
        address=address,
        port=table.port,
        ready=_ready(table, problems),
        stop_signal=table.stop_signal,
        expect_exit=table.expect_exit,
        user=table.user,
        capabilities=_capabilities(table, problems),
        terminal=table.terminal,
        stdin=table.stdin,
        restart=_restart(table.restart, problems),
        folders=MappingProxyType(_folders(raw, command, problems)),
        place=problems.where((*keys, "command")) if "command" in raw else "",
    )


def _restart(value: Any, problems: Problems) -> RestartSpec:
    if value is None:
        return RestartSpec()
    keys: Keys = ("gateway", "restart")
    if not isinstance(value, str | dict):
        message = 'must be a policy, or a table such as { policy = "on-crash", delay = "1s" }'
        problems.add(keys, message)
        return RestartSpec()
    if isinstance(value, str) and value not in get_args(RestartPolicy):
        problems.add(keys, f"must be one of {', '.join(get_args(RestartPolicy))}")
        return RestartSpec()
    raw = {"policy": value} if isinstance(value, str) else value
    table = check(RestartTable, raw, keys, problems)
    if table is None:
        return RestartSpec()
    if isinstance(value, dict) and "policy" not in value:
        problems.add(keys, "the key 'policy' is missing: it says after what it is started again")
    return RestartSpec(table.policy, table.delay, table.times)


def _folders(
    raw: Mapping[str, Any], command: Sequence[str], problems: Problems
) -> dict[Keys, Path]:
    """Where what is relative at each key is looked for, and in each word of `command`."""
    keys: list[Keys] = [(key,) for key in raw]
    keys += [("command", number) for number in range(len(command))]
    return {inner: problems.folder_at(("gateway", *inner)) for inner in keys}


def _capabilities(table: GatewayTable, problems: Problems) -> int:
    mask = 0
    texts = table.capabilities or ()
    for number, text in enumerate(texts):
        with problems.at("gateway", "capabilities", *([number] if len(texts) > 1 else [])):
            mask |= parse_capability(text).bit
    return mask


def _ready(table: GatewayTable, problems: Problems) -> ReadySpec | None:
    if table.ready is None:
        return None
    keys: Keys = ("gateway", "ready")
    ready = check(ReadyTable, table.ready, keys, problems)
    if ready is None:
        return None
    if len(table.ready) != 1:
        problems.add(keys, "needs one of 'log', 'udp', 'tcp' and 'delay'")
    return ReadySpec(ready.log, ready.udp, ready.tcp, ready.delay)
