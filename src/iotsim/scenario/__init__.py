"""Scenarios: from a TOML file to frozen records in which everything is resolved and checked.

`load` is the way through; its docstring names the steps. `toml` reads the file with the place of
every key, `schema` says what each table looks like, `problems` collects what is wrong;
`surroundings` (link, gateway), `fleets`, `rules`, `messages`, `signals`, `expectations` and
`selectors` build the records of `model`, of `iotsim.device.spec` and of `iotsim.expect.spec`;
`addresses` plans pools, `placeholders` fills in what refers to them, `csvdata` reads data files,
and `unsupported` lists what is in the format but not in this version.

Every problem of a file is told at once, with line, column and key path. No text of a scenario is
ever run: expressions go through the whitelist of `iotsim.match`, and behaviors are only named.

Alternatives considered: one large pydantic model of the whole file, whose unions of "a text or a
table" give error paths that no user wrote, and which cannot know the fields of a protocol;
tomllib, which knows no positions.
"""

from __future__ import annotations

from iotsim.scenario.load import Overrides, check_behaviors, load_scenario, load_text
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
    "load_scenario",
    "load_text",
]
