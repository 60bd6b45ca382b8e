"""``iotsim schema``: the JSON Schema of scenarios, for editors."""

from __future__ import annotations


def schema() -> int:
    """Print the JSON Schema of scenarios.

    With it an editor completes keys, tells what they mean, and marks what is wrong. A scenario names it
    in its first line, '#:schema ./iotsim.schema.json', for editors with Taplo, such as VS Code with
    Even Better TOML.
    """
    import json

    from iotsim.cli.files import format_reference
    from iotsim.scenario.jsonschema import json_schema, read_reference

    print(json.dumps(json_schema(read_reference(format_reference())), indent=2, ensure_ascii=False))
    return 0
