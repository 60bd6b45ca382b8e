"""``[[devices.NAME.rules]]``: what a device answers, and what it sends by itself."""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from iotsim.device.spec import RuleSpec
from iotsim.match import compile_match
from iotsim.scenario.messages import TemplateBuilder, formula, names_request, value_or_formula
from iotsim.scenario.problems import nearest
from iotsim.scenario.schema import (
    Duration,
    Match,
    Messages,
    Model,
    Range,
    Table,
    Text,
    check,
    misspelled,
)
from iotsim.scenario.toml import path_text
from iotsim.units import parse_endpoint

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from iotsim.device.spec import ServiceSpec
    from iotsim.match import Expression, Matcher, Names
    from iotsim.protocol.device import Device
    from iotsim.protocol.fields import Schema
    from iotsim.scenario.horizon import Horizon
    from iotsim.scenario.problems import Problems
    from iotsim.scenario.toml import Keys

STATE_NAME = re.compile(r"[A-Za-z_]\w{0,63}", re.ASCII)
SPEAKING = ("every", "jitter", "to")
UNANSWERED = "unanswered"
LEAST_INTERVAL_S = 0.001


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


class RuleBuilder:
    """Builds the rules of one fleet, of which no device boots before `boot_s`; `device` is one of them,
    if one is known (see `iotsim.scenario.trial.Trial`)."""

    def __init__(
        self,
        services: Sequence[ServiceSpec],
        names: Names,
        horizon: Horizon,
        boot_s: float,
        problems: Problems,
        device: Device | None = None,
    ) -> None:
        self.services = services
        self.names = names
        self.horizon = horizon
        self.boot_s = boot_s
        self.problems = problems
        self.device = device

    def build(self, raw: Any, keys: Keys, *, asked: bool = True) -> RuleSpec | None:
        """The rule that `raw` says. `asked`: without ``send``, it is about a message that came."""
        table = check(RuleTable, raw, keys, self.problems)
        if table is None:
            return None
        service = self._service(table.protocol, keys)
        if service is None:
            return None
        self._check_shape(table, raw, keys)
        self._check_times(table, keys)
        protocol = self.services[service].protocol
        speaks = bool(table.send) or not asked
        when, schema = table.when, protocol.delivered_schema
        unanswered = self._is_about_silence(table, raw, schema, keys)
        if unanswered:
            when = {key: value for key, value in (when or {}).items() if key != UNANSWERED}
            schema = protocol.said_schema
        names = self.names
        if not (speaks or unanswered):
            names = names._replace(request=protocol.said_schema)
        builder = TemplateBuilder(
            self.services[service],
            names,
            self.problems,
            has_message=not speaks,
            request=when,
            device=self.device,
        )
        return RuleSpec(
            name=table.name,
            when=self._when(when, schema, names, (*keys, "when")),
            where=self._where(table.where, schema, names, not speaks, (*keys, "where")),
            reply=builder.build_all(table.reply, (*keys, "reply"), raw.get("reply")),
            delay=table.delay,
            set=self._set(table.set, schema, names, not speaks, (*keys, "set")),
            every=table.every,
            jitter=table.jitter,
            send=builder.build_all(table.send, (*keys, "send"), raw.get("send")),
            to=self._to(table.to, (*keys, "to")),
            after=table.after,
            times=table.times,
            drop=table.drop,
            unanswered=unanswered,
            asks=names_request(raw),
            service=service,
            place=self.problems.where(keys),
            path=path_text(self.problems.origin(keys)),
        )

    def _service(self, name: str | None, keys: Keys) -> int | None:
        if not self.services:
            self.problems.add(keys, "these devices have no protocol, so they have no rules")
            return None
        if name is None:
            return 0
        known = {}
        for number, service in enumerate(self.services):
            known[f"{service.protocol.name}:{service.port}"] = number
            known.setdefault(service.protocol.name, number)
        if name not in known:
            self.problems.add(
                (*keys, "protocol"), "not a protocol of these devices", nearest(name, known)
            )
        return known.get(name)

    def _check_shape(self, table: RuleTable, raw: Mapping[str, Any], keys: Keys) -> None:
        add = self.problems.add
        if "send" in raw:
            for key in ("when", "reply", "delay", "drop"):
                if key in raw:
                    add((*keys, key), "a rule with 'send' answers nothing", of_key=True)
            if table.every is not None and table.every.low_s < LEAST_INTERVAL_S:
                add((*keys, "every"), "must be 1ms at least")
            return
        for key in SPEAKING:
            if key in raw:
                add((*keys, key), f"'{key}' is for a rule with 'send'", of_key=True)
        if table.drop and "reply" in raw:
            add((*keys, "drop"), "a rule either drops a message or replies to it", of_key=True)
        does = ("reply", "set", "drop", "send")
        if not (table.drop or "reply" in raw or "set" in raw or misspelled(raw, RuleTable, does)):
            add(keys, "this rule does nothing: give it 'reply', 'set', 'drop' or 'send'")

    def _check_times(self, table: RuleTable, keys: Keys) -> None:
        after_s = table.after
        if after_s is not None and (late := self.horizon.moment(self.boot_s + after_s)):
            self.problems.add(
                (*keys, "after"), f"this rule would never apply: {late}", self.horizon.hint
            )

    def _is_about_silence(
        self, table: RuleTable, raw: Mapping[str, Any], schema: Schema, keys: Keys
    ) -> bool:
        """Whether a rule is about requests that nobody answers."""
        given = (table.when or {}).get(UNANSWERED)
        if given is None or schema.find(UNANSWERED) is not None:
            return False
        here = (*keys, "when", UNANSWERED)
        if given is not True:
            self.problems.add(here, "must be true")
        for key in ("reply", "drop"):
            if key in raw:
                hint = "set something that a rule with 'send' asks for in 'where'"
                message = "where nobody answers, there is nobody to reply to"
                self.problems.add((*keys, key), message, hint, of_key=True)
        return True

    def _when(
        self, spec: Mapping[str, Any] | None, schema: Schema, names: Names, keys: Keys
    ) -> Matcher | None:
        if spec is None:
            return None

        def report(inner: Keys, message: str, hint: str) -> None:
            of_key = message.startswith("unknown")
            self.problems.add(keys + inner, message, hint, of_key=of_key)

        return compile_match(spec, schema, names, undecodable_allowed=False, report=report)

    def _where(
        self, text: str | None, schema: Schema, names: Names, has_message: bool, keys: Keys
    ) -> Expression | None:
        if text is None:
            return None
        text = text.removeprefix("=")
        return formula(text, names, keys, self.problems, has_message=has_message, schema=schema)

    def _set(
        self,
        table: Mapping[str, Any],
        schema: Schema,
        names: Names,
        has_message: bool,
        keys: Keys,
    ) -> Mapping[str, Any]:
        built = {}
        for name, value in table.items():
            here = (*keys, name)
            if not STATE_NAME.fullmatch(name):
                self.problems.add(here, f"'{name[:100]}' is no name for state", of_key=True)
                continue
            if self.names.lack_state(name):
                hint = self.names.state_hint(name)
                self.problems.add(here, f"the state has no '{name}'", hint, of_key=True)
                continue
            built[name] = value_or_formula(
                value, names, here, self.problems, has_message=has_message, schema=schema
            )
        return MappingProxyType(built)

    def _to(self, text: str, keys: Keys) -> str:
        with self.problems.at(*keys):
            check_destination(text)
        return text


def check_destination(text: str) -> None:
    """``gateway``, ``10.77.0.9:5600`` or ``[fd77::9]:5600``; ValueError for all else."""
    if text != "gateway":
        try:
            parse_endpoint(text)
        except ValueError as error:
            raise ValueError(f"{error}, or 'gateway'") from None
