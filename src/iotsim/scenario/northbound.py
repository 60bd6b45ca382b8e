"""``[northbound.NAME]``: services on the gateway's other side, and what they answer."""

from __future__ import annotations

import ipaddress
import re
from contextlib import suppress
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from iotsim.errors import ExpressionError
from iotsim.match import Expression, Names, compile_match
from iotsim.northbound.fields import SCHEMAS
from iotsim.northbound.rules import STATUSES, header_text
from iotsim.northbound.spec import LARGEST_BODY, WILDCARDS, AnswerRule, NorthboundSpec, ReplySpec
from iotsim.scenario.hosts import check_names
from iotsim.scenario.impairments import Rate
from iotsim.scenario.messages import formula, value_or_formula
from iotsim.scenario.programs import Command, Environment, check_program
from iotsim.scenario.schema import (
    Holds,
    Match,
    Model,
    Range,
    Table,
    Tables,
    Text,
    check,
    from_text,
    written,
)
from iotsim.units import format_size, parse_size

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from iotsim.northbound.spec import Kind
    from iotsim.scenario.loading import Loading
    from iotsim.scenario.model import LinkSpec, Scenario
    from iotsim.scenario.problems import Problems
    from iotsim.scenario.toml import Keys

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")
ENDPOINT = re.compile(r"(?:\[(?P<v6>[0-9a-fA-F:.]+)\]|(?P<v4>[0-9.]+)):(?P<port>[0-9]{1,5})")
HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,200}")
NAMESERVER = "127.0.0.1"
"""Where the name server of a private network is; see `iotsim.testbed.names`."""
MOST_SERVICES = 100
MOST_RULES = 1000
MOST_BODY = 256_000_000
PORTS = {"http": 8080, "mqtt": 1883, "syslog": 514}
TLS_PORTS = {"http": 8443, "mqtt": 8883}
ANSWERING = ("http", "udp")


def _size(text: str) -> int:
    size = parse_size(text)
    if not 1 <= size <= MOST_BODY:
        raise ValueError(f"must be from 1 byte to {format_size(MOST_BODY)}")
    return size


def _cut(value: Any) -> Any:
    if value is True:
        return 0
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MOST_BODY:
        raise ValueError("must be true, or after how many bytes of the answer it is cut")
    return value


def _listen(value: Any) -> Any:
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 65535:
        return "", value
    if isinstance(value, str):
        found = ENDPOINT.fullmatch(value.strip())
        if found is not None and 1 <= int(found["port"]) <= 65535:
            with suppress(ValueError):
                address = ipaddress.ip_address(found["v6"] or found["v4"])
                if not address.is_multicast:
                    return str(address), int(found["port"])
    raise ValueError("must be a port, or an address with one: '127.0.0.2:443' or '[::1]:443'")


class ServiceTable(Model):
    kind: Literal["http", "mqtt", "udp", "syslog", "command"]
    listen: Annotated[Any, BeforeValidator(written(_listen, type=["integer", "string"]))] = None
    tls: bool = False
    largest: Annotated[int, BeforeValidator(from_text(_size, "'1MB'"))] = LARGEST_BODY
    rules: Annotated[Tables, Holds(lambda: AnswerTable, several=True)] = []
    command: Command | None = None
    env: Environment = {}


class AnswerTable(Model):
    name: Text = ""
    when: Match | None = None
    where: Text | None = None
    reply: Annotated[Table, Holds(lambda: HttpReplyTable, lambda: UdpReplyTable)] | None = None
    delay: Range | None = None
    drop: bool = False
    skip: Annotated[int, Field(ge=0, le=1 << 31)] = 0
    every: Annotated[int, Field(ge=1, le=1 << 31)] = 1
    first: Annotated[int, Field(ge=1, le=1 << 31)] | None = None


class HttpReplyTable(Model):
    status: Any = 200
    headers: Table = {}
    json_: Any = Field(None, alias="json")
    body: Any = None
    cut: Annotated[int, BeforeValidator(written(_cut, type=["boolean", "integer"]))] | None = None
    rate: Annotated[Rate, Field(gt=0)] | None = None


class UdpReplyTable(Model):
    json_: Any = Field(None, alias="json")
    payload: Any = None


def plan_northbound(scenario: Scenario, loading: Loading) -> Scenario:
    """Where the services are, which placeholders show; what they answer is for `build_northbound`."""
    tables, problems = loading.tables["northbound"], loading.problems
    if len(tables) > MOST_SERVICES:
        problems.add(("northbound",), f"more than {MOST_SERVICES} services")
        return scenario
    services = []
    for name, raw in tables.items():
        keys: Keys = ("northbound", name)
        if not NAME.fullmatch(name):
            message = "no name for a service: a letter, then letters, digits, '_' and '-'"
            problems.add(keys, message, of_key=True)
            continue
        spec = _planned(name, raw, keys, scenario.link, problems)
        if spec is not None:
            services.append(spec)
    _check_places(services, problems, names=bool(scenario.link.hosts))
    check_names(scenario, loading)
    return replace(scenario, northbound=_by_name(services))


def _by_name(specs: Iterable[NorthboundSpec]) -> Mapping[str, NorthboundSpec]:
    return MappingProxyType({spec.name: spec for spec in specs})


def _planned(
    name: str, raw: Any, keys: Keys, link: LinkSpec, problems: Problems
) -> NorthboundSpec | None:
    table = check(ServiceTable, raw, keys, problems)
    if table is None:
        return None
    kind: Kind = table.kind
    _check_shape(table, raw, keys, problems)
    address, port = table.listen or ("", 0)
    if not port:
        port = (TLS_PORTS if table.tls else PORTS).get(kind, 0)
        if not port and kind == "udp":
            problems.add(keys, "'listen' is missing: the port of this service", of_key=True)
    if link.kind == "loopback" and address and not address.startswith("127."):
        message = "on a loopback link there is nothing but 127.0.0.0/8"
        problems.add((*keys, "listen"), message)
    return NorthboundSpec(
        name=name,
        kind=kind,
        addresses=(address,) if address else ("127.0.0.1", "::1"),
        port=port,
        tls=table.tls,
        largest=table.largest,
        place=problems.where(keys),
    )


def _check_shape(
    table: ServiceTable, raw: Mapping[str, Any], keys: Keys, problems: Problems
) -> None:
    kind = table.kind
    if table.tls and kind not in TLS_PORTS:
        problems.add((*keys, "tls"), f"'tls' is for http and mqtt, not for {kind}", of_key=True)
    if "rules" in raw and kind not in ANSWERING:
        problems.add((*keys, "rules"), f"'rules' are for http and udp, not for {kind}", of_key=True)
    if "largest" in raw and kind == "udp":
        problems.add((*keys, "largest"), "a datagram has 65507 bytes at most", of_key=True)
    if kind == "command":
        if table.command is None:
            problems.add(keys, "'command' is missing: the server to start", of_key=True)
    else:
        for key in ("command", "env"):
            if key in raw:
                problems.add((*keys, key), f"'{key}' is for kind = \"command\"", of_key=True)
    check_program(table.command or (), table.env, keys, problems)


def _check_places(services: Sequence[NorthboundSpec], problems: Problems, *, names: bool) -> None:
    """No two can listen at the same place by the same transport; nor where the name server does."""
    taken: list[tuple[str, str, int, str]] = []
    if names:
        taken += [(transport, NAMESERVER, 53, "link.hosts") for transport in ("udp", "tcp")]
    for spec in services:
        found = [
            (other, transport)
            for transport in TRANSPORTS[spec.kind]
            for carrier, address, port, other in taken
            if (carrier, port) == (transport, spec.port) and _overlap(address, spec.addresses)
        ]
        if found:
            other, transport = found[0]
            message = f"{other} has {transport.upper()} port {spec.port} already"
            problems.add(("northbound", spec.name, "listen"), message)
        taken += [
            (transport, address, spec.port, f"northbound.{spec.name}")
            for transport in TRANSPORTS[spec.kind]
            for address in spec.addresses
            if spec.port
        ]


def _overlap(address: str, others: Sequence[str]) -> bool:
    """Whether a socket at `address` stands in the way of one at one of `others`."""
    return any(
        address == other
        or (address in WILDCARDS and (":" in address) == (":" in other))
        or (other in WILDCARDS and (":" in address) == (":" in other))
        for other in others
    )


TRANSPORTS = {
    "http": ("tcp",),
    "mqtt": ("tcp",),
    "udp": ("udp",),
    "syslog": ("udp", "tcp"),
    "command": (),
}
"""By which a service of a kind listens itself."""


def build_northbound(scenario: Scenario, loading: Loading) -> Scenario:
    """What the services answer, and what they run."""
    built = []
    for spec in scenario.northbound.values():
        raw, keys = loading.tables["northbound"][spec.name], ("northbound", spec.name)
        table = check(ServiceTable, raw, keys, loading.problems)
        if table is None:
            continue
        if len(table.rules) > MOST_RULES:
            loading.problems.add((*keys, "rules"), f"more than {MOST_RULES} rules")
            continue
        rules = []
        for number, rule in enumerate(table.rules):
            builder = _RuleBuilder(spec.kind, loading.problems)
            made = builder.build(rule, (*keys, "rules", number))
            if made is not None:
                rules.append(made)
        names = tuple(
            host
            for host, targets in scenario.link.hosts.items()
            if targets == (f"northbound.{spec.name}",)
        )
        command = tuple(table.command or ())
        words: list[Keys] = [(*keys, "command", number) for number in range(len(command))]
        built.append(
            replace(
                spec,
                rules=tuple(rules),
                command=command,
                folders=tuple(map(loading.problems.folder_at, words)),
                env=MappingProxyType(table.env),
                names=names,
            )
        )
    return replace(scenario, northbound=_by_name(built))


class _RuleBuilder:
    """Builds a rule of a service of `kind`."""

    names = Names(state=())

    def __init__(self, kind: Kind, problems: Problems) -> None:
        self.kind = kind
        self.problems = problems
        self.schema = SCHEMAS[kind]

    def build(self, raw: Any, keys: Keys) -> AnswerRule | None:
        table = check(AnswerTable, raw, keys, self.problems)
        if table is None:
            return None
        if table.drop and "reply" in raw:
            message = "a rule either drops what came or replies to it"
            self.problems.add((*keys, "drop"), message, of_key=True)
        if not (table.drop or "reply" in raw or "delay" in raw):
            self.problems.add(keys, "this rule does nothing: give it 'reply', 'delay' or 'drop'")
        if table.drop and table.delay is not None:
            self.problems.add((*keys, "delay"), "what is dropped has no delay", of_key=True)
        reply = ReplySpec()
        if table.reply is not None:
            here = (*keys, "reply")
            build = self._http if self.kind == "http" else self._udp
            reply = build(table.reply, here) or reply
        return AnswerRule(
            name=table.name,
            when=None if table.when is None else self._when(table.when, (*keys, "when")),
            where=None if table.where is None else self._where(table.where, (*keys, "where")),
            reply=reply,
            delay=table.delay,
            drop=table.drop,
            skip=table.skip,
            every=table.every,
            first=table.first,
            place=self.problems.where(keys),
        )

    def _when(self, spec: Mapping[str, Any], keys: Keys) -> Any:
        if "status" in spec and self.kind == "http":
            message = "a rule decides the status: a request has none before"
            self.problems.add((*keys, "status"), message, of_key=True)

        def report(inner: Keys, message: str, hint: str) -> None:
            of_key = message.startswith("unknown")
            self.problems.add(keys + inner, message, hint, of_key=of_key)

        return compile_match(
            spec, self.schema, self.names, undecodable_allowed=False, report=report
        )

    def _where(self, text: str, keys: Keys) -> Expression | None:
        text = text.removeprefix("=")
        return formula(text, self.names, keys, self.problems, has_message=True, schema=self.schema)

    def _value(self, value: Any, keys: Keys) -> Any:
        return value_or_formula(
            value, self.names, keys, self.problems, has_message=True, schema=self.schema
        )

    def _http(self, raw: Mapping[str, Any], keys: Keys) -> ReplySpec | None:
        table = check(HttpReplyTable, raw, keys, self.problems)
        if table is None:
            return None
        status = self._value(table.status, (*keys, "status"))
        if not isinstance(status, Expression) and (
            isinstance(status, bool) or not isinstance(status, int) or status not in STATUSES
        ):
            self.problems.add((*keys, "status"), "must be a status from 200 to 599")
            status = 200
        return ReplySpec(
            status=status,
            headers=self._headers(table.headers, (*keys, "headers")),
            content=self._content(raw, "body", keys),
            is_json="json" in raw,
            cut=table.cut,
            byte_s=0.0 if table.rate is None else 8 / table.rate,
        )

    def _udp(self, raw: Mapping[str, Any], keys: Keys) -> ReplySpec | None:
        if check(UdpReplyTable, raw, keys, self.problems) is None:
            return None
        if not raw:
            self.problems.add(keys, "an empty reply", 'write payload = "…" or json = { … }')
        return ReplySpec(content=self._content(raw, "payload", keys), is_json="json" in raw)

    def _content(self, raw: Mapping[str, Any], other: str, keys: Keys) -> Any:
        if "json" in raw:
            if other in raw:
                message = f"'json' and '{other}' at the same time"
                self.problems.add((*keys, other), message, of_key=True)
            return self._value(raw["json"], (*keys, "json"))
        if other not in raw:
            return None
        value = self._value(raw[other], (*keys, other))
        if isinstance(value, (dict, list)):
            message = "must be a text, or bytes such as 'hex:0a ff'"
            self.problems.add((*keys, other), message, "write json = … for a table")
        return value

    def _headers(self, table: Mapping[str, Any], keys: Keys) -> Mapping[str, Any]:
        headers = {}
        for name, raw in table.items():
            here = (*keys, name)
            if not HEADER_NAME.fullmatch(name):
                self.problems.add(here, "no name of a header", of_key=True)
                continue
            value = self._value(raw, here)
            if not isinstance(value, Expression):
                try:
                    value = header_text(value)
                except ExpressionError as error:
                    self.problems.add(here, error.reason)
            headers[name] = value
        return MappingProxyType(headers)
