"""Scenarios: from a TOML file to frozen records in which everything is resolved and checked.

`load` is the way through; its docstring names the steps, and `loading` is what they share. `toml` reads a
file with the place of every key, `sources` finds the files that a scenario is made of, `merge` makes one
document of them, `parameters` and `filling` make one scenario of each combination, `problems` collects what
is wrong. `sections` has a row for each top-level table, whose schema and builder stand together: `head`
(with `speed`), `link` (with `hosts`), `gateway` (with `programs`), `fleets` (with `templates`, `network`,
`rules`, `messages`, `signals`, `models`, `sleep`), `northbound`, `impairments` and `faults` (with `scopes`,
`faulttable`, `malforming`), `steps` (with `actions`, `gateway_steps`), `expectations` (with `chains`,
`looks`, `gateway_expectations`) and `results` build the records of `model`, of `iotsim.device.spec` and of
`iotsim.expect.spec`; `schema` is what schemas are made of. `addresses` plans pools, `placeholders` fills in
what refers to them, `selectors` names devices, `csvdata` reads data files, `trial` encodes messages before
a device does. What cannot come to be is found by `horizon` (too late), `blackouts` (lost on its way) and
`order` (after what never comes), what cannot have been meant by `suspicions` (with `senders` and
`contradictions`). `outline`, `project` and `choice` are for who looks for scenarios, `jsonschema` for
editors.

Every problem of a file is told at once, with line, column and key path. No text of a scenario is
ever run: expressions go through the whitelist of `iotsim.match`, and behaviors are only named.

Alternatives considered: one large pydantic model of the whole file, whose unions of "a text or a
table" give error paths that no user wrote, and which cannot know the fields of a protocol;
tomllib, which knows no positions.
"""

from __future__ import annotations

from iotsim.scenario.load import (
    check_behaviors,
    each_scenario,
    load_scenario,
    load_scenarios,
    load_text,
)
from iotsim.scenario.loading import Overrides
from iotsim.scenario.model import GatewaySpec, LinkKind, LinkSpec, ReadySpec, Scenario, Until

__all__ = [
    "GatewaySpec",
    "LinkKind",
    "LinkSpec",
    "Overrides",
    "ReadySpec",
    "Scenario",
    "Until",
    "check_behaviors",
    "each_scenario",
    "load_scenario",
    "load_scenarios",
    "load_text",
]
