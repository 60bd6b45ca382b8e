"""``iotsim schema``: the JSON Schemas of what users write, and of results."""

from __future__ import annotations

from typing import Any, Literal


def schema(
    what: Literal["scenario", "project", "events", "result", "suite"] = "scenario", /
) -> int:
    """Print a JSON Schema: of what users write, or of what runs leave.

    With that of scenarios an editor completes keys, tells what they mean, and marks what is wrong. A
    scenario names it in its first line, '#:schema ./iotsim.schema.json', for editors with Taplo, such as
    VS Code with Even Better TOML.

    Parameters
    ----------
    what
        'scenario', 'project' (iotsim.toml), 'events' (the lines of events.jsonl), 'result' (result.json) or
        'suite' (that of a suite).
    """
    if what not in ("scenario", "project"):
        from importlib.resources import files

        print(files("iotsim.results").joinpath(f"{what}.schema.json").read_text("utf-8"), end="")
        return 0
    import json

    print(json.dumps(_made(what), indent=2, ensure_ascii=False))
    return 0


def _made(what: str) -> dict[str, Any]:
    if what == "project":
        from iotsim.scenario.project import project_schema

        return project_schema()
    from iotsim.cli.files import format_reference
    from iotsim.scenario.jsonschema import json_schema, read_reference

    return json_schema(read_reference(format_reference()))
