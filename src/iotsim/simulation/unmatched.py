"""Messages to which no rule applies: counted by kind, the first of each explained.

They go here only after nobody has had an answer, so that what is answered does not pay for it. Kinds are
bounded; what is beyond counts as one more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from iotsim.device.explain import examine_rules, nearest_first, rule_text, rules_about
from iotsim.errors import IotsimError
from iotsim.events import NoRule, Unmatched
from iotsim.expect.text import value_text
from iotsim.simulation.requests import field_at

if TYPE_CHECKING:
    from collections.abc import Mapping

    from iotsim.device.fleet import Fleet, SimDevice
    from iotsim.simulation.journal import Journal

MOST_KINDS = 32
OTHERS = "of other kinds"
MOST_FIELDS = 2
"""So many fields make the kind of a message."""


class UnmatchedMessages:
    """Those to one service of `fleet`, that of `index`; `journal` learns of the first of each kind."""

    def __init__(self, fleet: Fleet, index: int, journal: Journal) -> None:
        self.found: dict[str, Unmatched] = {}
        self._fleet = fleet
        self._protocol = fleet.spec.services[index].protocol
        self.rules = rules_about(fleet.spec.rules, index)
        self._emit = journal.emit
        self._remark = journal.remark_in
        self._paths = [path.split(".") for path in self._kind_fields()]

    def add(self, device: SimDevice, message: Mapping[str, Any], now: float) -> None:
        """No rule has applied to `message`."""
        self._remark(f"{device.name}: no rule applies")
        kind = self._kind_of(message)
        known = self.found.get(kind)
        if known is None and len(self.found) >= MOST_KINDS:
            kind = OTHERS
            known = self.found.get(kind)
        if known is not None:
            known.count += 1
            return
        self.found[kind] = first = Unmatched(
            fleet=self._fleet.spec.name,
            protocol=self._protocol.name,
            kind=kind,
            count=1,
            t=now,
            device=device.name,
            nearest=self._nearest(device, message, now),
        )
        self._emit(NoRule(now, Unmatched(**{name: getattr(first, name) for name in FIELDS})))

    def _kind_fields(self) -> list[str]:
        """The fields that tell kinds of messages apart: those that rules ask for first, or else the first
        with names for its values."""
        asked = [path for rule in self.rules if rule.when for path in [*rule.when.equalities][:1]]
        if not asked:
            fields = self._protocol.delivered_schema.fields.values()
            asked = [field.path for field in fields if field.kind == "enum"][:1]
        return [*dict.fromkeys(asked)][:MOST_FIELDS]

    def _kind_of(self, message: Mapping[str, Any]) -> str:
        values = ((".".join(path), field_at(message, path)) for path in self._paths)
        return " ".join(
            f"{name}={value_text(value)}" for name, value in values if value is not None
        )

    def _nearest(self, device: SimDevice, message: Mapping[str, Any], now: float) -> str:
        """The rule that came nearest, and why it does not apply; "" if there is none."""
        try:
            reports = nearest_first(examine_rules(self.rules, device, message, now))
        except IotsimError as error:
            return f"the rules cannot be told: {error}"
        if not reports:
            return ""
        return f"{rule_text(reports[0].rule)}: {', '.join(reports[0].differences)}"


FIELDS = Unmatched.__struct_fields__
