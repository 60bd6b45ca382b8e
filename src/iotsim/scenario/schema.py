"""The tables of a scenario as pydantic models: names, types and units of their keys.

Each model is one table by itself; what lies inside it is checked by a model of its own, so that a
problem knows which keys the table could have had. Values with units are parsed here. Nothing is
converted silently: a text is no number, 1 is not true, and an unknown key is a problem.
"""

from __future__ import annotations

import json
import re
import shlex
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from iotsim.match.fieldpath import nearest
from iotsim.units import DurationRange, parse_duration, parse_duration_range

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from iotsim.scenario.problems import Problems
    from iotsim.scenario.toml import Keys

MOST_ITEMS = 10_000
LONGEST_TEXT = 10_000


def _from_text(parse: Callable[[str], Any], example: str) -> Callable[[Any], Any]:
    def validate(value: Any) -> Any:
        if not isinstance(value, str):
            raise ValueError(f"must be a text such as {example}")
        return parse(value)

    return validate


def _time(parse: Callable[[str], Any], example: str) -> Callable[[Any], Any]:
    from_text = _from_text(parse, example)

    def validate(value: Any) -> Any:
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            raise ValueError(f"{value} has no unit; write '{value}s' or '{value}ms'")
        return from_text(value)

    return validate


def _command(value: Any) -> Any:
    if isinstance(value, str):
        try:
            words = shlex.split(value)
        except ValueError:
            words = [value]
        raise ValueError(f"must be a list of the program and its arguments: {json.dumps(words)}")
    return value


def _texts(value: Any) -> Any:
    """One text, or a list of them."""
    items = value if isinstance(value, list) else [value]
    if not items or not all(isinstance(item, str) for item in items):
        raise ValueError("must be a text or a list of texts")
    return items


def _table(example: str = "") -> Callable[[Any], Any]:
    such = f", such as {example}" if example else ""

    def validate(value: Any) -> Any:
        if not isinstance(value, dict):
            raise ValueError(f"must be a table{such}")
        return value

    return validate


def _tables(example: str = "") -> Callable[[Any], Any]:
    """One table, or a list of them."""
    such = f", such as {example}" if example else ""

    def validate(value: Any) -> Any:
        items = value if isinstance(value, list) else [value]
        if not items or not all(isinstance(item, dict) for item in items):
            raise ValueError(f"must be a table or a list of tables{such}")
        return items

    return validate


def _signal_name(value: str) -> str:
    name = value.upper() if value.upper().startswith("SIG") else f"SIG{value.upper()}"
    if name not in STOP_SIGNALS:
        raise ValueError(f"no signal that stops a process; there is {', '.join(STOP_SIGNALS)}")
    return name


def _interface_name(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_.-]{0,15}", value) or value in (".", ".."):
        raise ValueError("no name for an interface: 15 letters, digits, '_', '-', '.' at most")
    return value


def _isolation(value: str) -> str:
    if not re.fullmatch(r"auto|private|host|netns:[A-Za-z0-9_.-]+", value):
        raise ValueError("must be 'auto', 'private', 'host' or 'netns:NAME'")
    return value


def _pattern(value: Any) -> re.Pattern[str]:
    if not isinstance(value, str) or len(value) > 1000:
        raise ValueError("must be a regular expression of at most 1000 characters")
    try:
        return re.compile(value)
    except (re.error, RecursionError, OverflowError) as error:
        raise ValueError(f"no regular expression: {error}") from None


STOP_SIGNALS = ("SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGKILL")

Text = Annotated[str, Field(max_length=LONGEST_TEXT)]
Duration = Annotated[float, BeforeValidator(_time(parse_duration, "'20ms' or '1h30m'"))]
Range = Annotated[
    DurationRange, BeforeValidator(_time(parse_duration_range, "'20ms' or '5ms..20ms'"))
]
Texts = Annotated[list[str], Field(max_length=MOST_ITEMS), BeforeValidator(_texts)]
Table = Annotated[dict[str, Any], BeforeValidator(_table())]
Tables = Annotated[list[dict[str, Any]], Field(max_length=MOST_ITEMS), BeforeValidator(_tables())]
Match = Annotated[dict[str, Any], BeforeValidator(_table('{ kind = "READ" }'))]
Messages = Annotated[
    list[dict[str, Any]],
    Field(max_length=MOST_ITEMS),
    BeforeValidator(_tables('{ kind = "REPORT", value = 20 }')),
]
Ready = Annotated[dict[str, Any], BeforeValidator(_table('{ log = "^listening" }'))]
Command = Annotated[
    list[str], Field(min_length=1, max_length=MOST_ITEMS), BeforeValidator(_command)
]
Pattern = Annotated[Any, BeforeValidator(_pattern)]
Port = Annotated[int, Field(ge=1, le=65535)]
Count = Annotated[int, Field(ge=1, le=1 << 24)]


class Model(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, defer_build=True)


class ScenarioTable(Model):
    format: Literal[1] = 1
    name: Text = ""
    description: Text = ""
    duration: Annotated[Duration, Field(gt=0)] = 60.0
    until: Literal["settled", "gateway_exit", "duration"] = "settled"
    seed: Annotated[int, Field(ge=0, lt=1 << 64)] | None = None
    tags: Texts = []
    speed: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    tolerance: Annotated[float, Field(gt=0, le=1000, allow_inf_nan=False)] = 1.0


class LinkTable(Model):
    kind: Literal["tun", "tap", "loopback", "memory"] = "tun"
    name: Annotated[str, BeforeValidator(_from_text(_interface_name, "'iot0'"))] = ""
    address: Texts | None = None
    router: Texts | None = None
    mtu: Annotated[int, Field(ge=68, le=65535)] = 1500
    isolate: Annotated[str, BeforeValidator(_from_text(_isolation, "'private'"))] = "auto"
    queues: Any = 1
    bridge: Annotated[str, BeforeValidator(_from_text(_interface_name, "'br0'"))] = ""
    vlan: Annotated[int, Field(ge=1, le=4094)] | None = None


class ReadyTable(Model):
    log: Pattern = None
    udp: Port | None = None
    tcp: Port | None = None
    delay: Duration | None = None


class GatewayTable(Model):
    command: Command | None = None
    env: dict[str, str] = {}
    cwd: Text | None = None
    address: Text | None = None
    port: Port | None = None
    ready: Ready | None = None
    stop_signal: Annotated[str, BeforeValidator(_from_text(_signal_name, "'SIGTERM'"))] = "SIGTERM"
    expect_exit: Annotated[int, Field(ge=0, le=255)] | None = None


class DeviceTable(Model):
    count: Count | None = None
    address: Texts | None = None
    extends: Text | None = None
    protocol: Any = None
    port: Port | None = None
    signals: Table = {}
    state: Table = {}
    rules: Tables = []
    behavior: Text | None = None
    data: Text | None = None
    boot: Table | None = None
    mac: Text | None = None
    hops: Texts = []
    path_mtu: Annotated[int, Field(ge=68, le=65535)] | None = None
    groups: Texts = []
    silent: bool = False
    dhcp: bool = False


class BootTable(Model):
    delay: Range | None = None
    ramp: Duration = 0.0
    announce: Messages | None = None
    to: Text = "gateway"


class ProtocolTable(Model):
    name: Text
    port: Port | None = None


class RuleTable(Model):
    name: Text = ""
    protocol: Text | None = None
    when: Match | None = None
    where: Text | None = None
    reply: Messages = []
    delay: Range | None = None
    set: Table = {}
    every: Range | None = None
    jitter: Duration = 0.0
    send: Messages = []
    to: Text = "gateway"
    after: Duration | None = None
    times: Annotated[int, Field(ge=1, le=1 << 31)] | None = None
    drop: bool = False


class CountTable(Model):
    min: Annotated[int, Field(ge=0, le=1 << 53)] | None = None
    max: Annotated[int, Field(ge=0, le=1 << 53)] | None = None


class GatewayExpectTable(Model):
    running: bool | None = None
    exit: Annotated[int, Field(ge=0, le=255)] | None = None
    stdout: Any = None


class StdoutTable(Model):
    contains: Annotated[str, Field(min_length=1, max_length=LONGEST_TEXT)] | None = None
    regex: Pattern = None
    not_: Annotated[Pattern, Field(alias="not")] = None


class ExpectTable(Model):
    name: Text = ""
    each: Texts | None = None
    any: Texts | None = None
    all: Texts | None = None
    none: Texts | None = None
    device: Texts | None = None
    receives: Match | None = None
    sends: Match | None = None
    within: Duration | None = None
    never: Literal[True] | None = None
    always: Match | None = None
    count: Any = None
    per: Annotated[Duration, Field(gt=0)] | None = None
    gateway: Table | None = None
    severity: Literal["error", "warning"] = "error"


AnyModel = TypeVar("AnyModel", bound=Model)


def keys_of(model: type[Model]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()]


def misspelled(table: Mapping[str, Any], model: type[Model], names: Sequence[str]) -> bool:
    """Whether one of `names` is probably there, under a key that `model` does not know.

    The unknown key is a problem already; that the right one is missing need not be told.
    """
    known = keys_of(model)
    return any(key not in known and nearest(key, names) for key in table)


def check(model: type[AnyModel], table: Any, keys: Keys, problems: Problems) -> AnyModel | None:
    """`table` as a `model`, without the keys that are wrong; these become problems.

    None if nothing can be made of the rest: a key is missing, or it is no table.
    """
    try:
        return model.model_validate(table)
    except ValidationError as error:
        problems.add_errors(error, keys, {(): keys_of(model)})
        wrong = {detail["loc"][0] for detail in error.errors() if detail["loc"]}
    if not isinstance(table, dict):
        return None
    try:
        return model.model_validate({key: table[key] for key in table if key not in wrong})
    except ValidationError:
        return None
