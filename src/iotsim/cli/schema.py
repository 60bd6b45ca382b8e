"""``iotsim schema``: the JSON Schemas of scenarios, for editors, and of results, for other programs."""

from __future__ import annotations

from typing import Literal


def schema(what: Literal["scenario", "events", "result"] = "scenario", /) -> int:
    """Print a JSON Schema: of scenarios, of the lines of events.jsonl, or of result.json.

    With that of scenarios an editor completes keys, tells what they mean, and marks what is wrong. A
    scenario names it in its first line, '#:schema ./iotsim.schema.json', for editors with Taplo, such as
    VS Code with Even Better TOML.

    Parameters
    ----------
    what
        'scenario', 'events' or 'result'.
    """
    if what == "scenario":
        import json

        from iotsim.cli.files import format_reference
        from iotsim.scenario.jsonschema import json_schema, read_reference

        scenarios = json_schema(read_reference(format_reference()))
        print(json.dumps(scenarios, indent=2, ensure_ascii=False))
        return 0
    from importlib.resources import files

    print(files("iotsim.results").joinpath(f"{what}.schema.json").read_text("utf-8"), end="")
    return 0
