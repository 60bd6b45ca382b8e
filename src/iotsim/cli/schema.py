"""``iotsim schema``: the JSON Schema of scenarios, for editors."""

from __future__ import annotations

from typing import Annotated

import cyclopts


def schema(*, project: Annotated[bool, cyclopts.Parameter(negative=())] = False) -> int:
    """Print the JSON Schema of scenarios.

    With it an editor completes keys, tells what they mean, and marks what is wrong. A scenario names it
    in its first line, '#:schema ./iotsim.schema.json', for editors with Taplo, such as VS Code with
    Even Better TOML.

    Parameters
    ----------
    project
        Print that of 'iotsim.toml' instead.
    """
    import json

    from iotsim.cli.files import format_reference
    from iotsim.scenario.jsonschema import json_schema, read_reference

    if project:
        from iotsim.scenario.project import project_schema

        made = project_schema()
    else:
        made = json_schema(read_reference(format_reference()))
    print(json.dumps(made, indent=2, ensure_ascii=False))
    return 0
