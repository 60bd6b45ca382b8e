"""Fleets without a scenario file, for the tests of `iotsim.device`."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from iotsim.device import Fleet
from iotsim.device.spec import (
    SIGNAL_PARAMETERS,
    AddressBlock,
    FleetSpec,
    MessageTemplate,
    RuleSpec,
    ServiceSpec,
    SignalSpec,
)
from iotsim.match import Names, compile_expression, compile_match
from iotsim.units import DurationRange

FIRST = (10 << 24) + (77 << 16) + (1 << 8) + 1


class Builder:
    """Writes specifications as the scenario's loader would."""

    @staticmethod
    def signal(
        kind: str, *, points: tuple[tuple[float, float], ...] = (), **given: Any
    ) -> SignalSpec:
        parameters = {name: p.default for name, p in SIGNAL_PARAMETERS[kind].items()}
        assert given.keys() <= parameters.keys()
        return SignalSpec(kind, {**parameters, **given}, points)

    @staticmethod
    def compiled(value: Any, signals: Any = (), has_message: bool = True) -> Any:
        """`value` with each text that starts with ``=`` compiled."""
        if isinstance(value, str) and value.startswith("="):
            return compile_expression(value[1:], Names(signals), has_message=has_message)
        if isinstance(value, dict):
            return {k: Builder.compiled(v, signals, has_message) for k, v in value.items()}
        if isinstance(value, list):
            return [Builder.compiled(item, signals, has_message) for item in value]
        return value

    @staticmethod
    def rule(signals: Any = (), **keys: Any) -> RuleSpec:
        """A rule from the keys that a scenario uses; times are numbers or (low, high)."""
        made: dict[str, Any] = dict(keys)
        speaks = "send" in keys
        if "when" in keys:
            made["when"] = compile_match(keys["when"], None, Names(signals))
        for name in ("where", "set"):
            if name in keys:
                made[name] = Builder.compiled(keys[name], signals, not speaks)
        for name in ("reply", "send"):
            if name in keys:
                messages = keys[name] if isinstance(keys[name], list) else [keys[name]]
                made[name] = tuple(
                    MessageTemplate(Builder.compiled(message, signals, not speaks))
                    for message in messages
                )
        for name in ("delay", "every"):
            if name in keys:
                value = keys[name]
                made[name] = DurationRange(*(value if isinstance(value, tuple) else (value, value)))
        return RuleSpec(**made)

    def spec(
        self,
        rules: Any = (),
        *,
        count: int = 10,
        echo: Any = ("seq",),
        services: int = 1,
        **keys: Any,
    ) -> FleetSpec:
        protocol: Any = SimpleNamespace(echo=echo, schema=None, delivered_schema=None, name="toy")
        signals = keys.get("signals", {})
        return FleetSpec(
            name=keys.pop("name", "meter"),
            count=count,
            blocks=(AddressBlock(FIRST, count),),
            services=tuple(ServiceSpec(protocol, 5600 + number) for number in range(services)),
            rules=tuple(self.rule(signals, **rule) for rule in rules),
            **keys,
        )

    def fleet(self, rules: Any = (), *, seed: int = 1, **keys: Any) -> Fleet:
        return Fleet(self.spec(rules, **keys), seed)


@pytest.fixture(scope="session")
def build() -> Builder:
    return Builder()
