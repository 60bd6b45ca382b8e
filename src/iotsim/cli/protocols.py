"""``iotsim protocols``: what protocols there are, and whether they are sound."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import cyclopts

from iotsim.cli.app import EXIT_ERROR
from iotsim.cli.table import print_table, print_text
from iotsim.safetext import safe_line

if TYPE_CHECKING:
    from iotsim.protocol.codec import Codec
    from iotsim.protocol.definition import Protocol
    from iotsim.protocol.fields import Schema
    from iotsim.protocol.registry import LoadedProtocol
    from iotsim.session.outline import KeyRow

FIELD_COLUMNS = ("byte", "field", "kind", "on the wire", "")
MODEL_COLUMNS = ("key", "takes", "default", "")

app = cyclopts.App(name="protocols", help="List, show and check protocols.")


@app.command(name="list")
def list_() -> int:
    """List the protocols that can be named here, and where they come from."""
    from iotsim.protocol.registry import is_bundled, list_protocols

    rows = list_protocols(_search())
    width = max((len(name) for name, _ in rows), default=0)
    for name, path in rows:
        if path is None:
            where = "entry point"
        else:
            where = "bundled" if is_bundled(path) else str(path)
        print(f"{name:<{width}}  {where}")
    return 0


@app.command
def show(
    name: str,
    /,
    *,
    codec: Annotated[bool, cyclopts.Parameter(negative=())] = False,
    model: Annotated[bool, cyclopts.Parameter(negative=())] = False,
) -> int:
    """Show a protocol's fields: place in the message, type, names of values.

    Parameters
    ----------
    name
        The protocol's name.
    codec
        Show how its codec works instead: the generated source, and what was left to construct.
    model
        Show the keys of its model instead: what a scenario can say of a device in this protocol.
    """
    loaded = _load(name)
    protocol = loaded.protocol
    if codec:
        _show_codec(protocol.codec)
        if protocol.answer is not None:
            print("\n# what a device sends:\n")
            _show_codec(protocol.answer_codec)
        return 0
    if model:
        return _show_model(protocol)
    print(f"{protocol.name}: UDP port {protocol.port}")
    if protocol.description:
        print_text(protocol.description)
    if protocol.echo:
        print_text(f"a reply takes from its request: {', '.join(protocol.echo)}")
    if protocol.errors is not None:
        print_text(f"errors: {', '.join(protocol.errors.names)}")
    _show_fields(protocol.schema)
    if protocol.answer is not None:
        print("\nwhat a device sends:")
        _show_fields(protocol.answer_schema)
    if protocol.application is not None:
        print("\nwhat rules and behaviors see:")
        _show_fields(protocol.said_schema)
    return 0


@app.command
def check(*names: str) -> int:
    """Check protocols: that the schema is sound, and each golden vector holds in both directions.

    Parameters
    ----------
    names
        The protocols' names; none means all that can be named here.
    """
    from iotsim.errors import ProtocolError
    from iotsim.protocol.examine import check as examine
    from iotsim.protocol.registry import list_protocols

    chosen = names or tuple(name for name, _ in list_protocols(_search()))
    wrong = 0
    for name in chosen:
        try:
            loaded = _load(name)
        except ProtocolError as error:
            print(f"{name}: {error}")
            wrong += 1
            continue
        findings = examine(loaded)
        for finding in findings:
            print(f"{name}: {finding}")
        if findings:
            wrong += 1
        else:
            count = len(loaded.vectors)
            print(f"{name}: ok, {count} golden vector{'' if count == 1 else 's'}")
    return 2 if wrong else 0


@app.command
def wireshark(
    name: str,
    /,
    *,
    output: Annotated[Path | None, cyclopts.Parameter(name=["--output", "-o"])] = None,
) -> int:
    """Write a dissector for Wireshark, in Lua, with the protocol's own names of fields.

    Wireshark takes it out of the folder of personal Lua plugins (Help, About Wireshark, Folders; mostly
    ~/.local/lib/wireshark/plugins), or from the option -X lua_script:FILE, as tshark does. What it does not
    say as iotsim does is listed on standard error, and at the top of the file.

    Parameters
    ----------
    name
        The protocol's name.
    output
        The file to write; without it, standard output.
    """
    from iotsim.protocol.wireshark import dissector

    made = dissector(_load(name).protocol)
    for note in made.notes():
        print(f"iotsim: {safe_line(note)}", file=sys.stderr)
    if output is None:
        print(made.source, end="")
        return 0
    try:
        output.write_text(made.source, encoding="utf-8")
    except OSError as error:
        print(f"iotsim: {output}: {error.strerror}", file=sys.stderr)
        return EXIT_ERROR
    return 0


def _show_fields(schema: Schema) -> None:
    from iotsim.protocol.examine import field_rows

    print()
    print_table([FIELD_COLUMNS, *field_rows(schema)], cells=3)


def _show_model(protocol: Protocol) -> int:
    if protocol.model is None:
        print(f"iotsim: the protocol {protocol.name} has no model", file=sys.stderr)
        return EXIT_ERROR
    from iotsim.session.outline import model_keys

    print(f"{protocol.name}: what [devices.NAME.model] can have\n")
    rows = [*model_keys(protocol.model)]
    narrow = [(row.path, _takes(row), row.note) for row in rows]
    print_table([MODEL_COLUMNS, *rows], cells=1, narrow=[("key", "takes", ""), *narrow])
    return 0


def _takes(row: KeyRow) -> str:
    """What a key takes, and what it is if it is not there, in one."""
    default = row.default if row.default in ("", "required") else f"{row.default} by default"
    return f"{row.type}, {default}" if default else row.type


def _show_codec(codec: Codec) -> None:
    print(codec.source)
    if not codec.fallbacks:
        print("# construct does nothing here")
        return
    print("# left to construct:")
    for path, reason in codec.fallbacks.items():
        print(f"#   {path or '(the message)'}: {reason}")


def _load(name: str) -> LoadedProtocol:
    from iotsim.protocol.registry import load_protocol

    return load_protocol(name, _search())


def _search() -> list[Path]:
    """Where protocols are looked for besides the usual places: here, and where the project has them."""
    from iotsim.run.project import find_project

    return [Path(), *find_project().protocols]
