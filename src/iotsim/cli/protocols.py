"""``iotsim protocols`` and ``iotsim decode``: what protocols there are, and what bytes mean in them."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import cyclopts

from iotsim.cli.app import EXIT_ERROR
from iotsim.safetext import safe_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from iotsim.protocol.codec import Codec
    from iotsim.protocol.definition import Protocol
    from iotsim.protocol.device import StandIn
    from iotsim.protocol.registry import LoadedProtocol

LARGEST_DATAGRAM = 65_535 - 8
"""In bytes: what the length field of a UDP header leaves for the payload."""
MOST_HEX = 1 << 20
"""Characters that are read, spaces included."""
FIELD_COLUMNS = ("byte", "field", "kind", "on the wire", "")
MODEL_COLUMNS = ("key", "takes", "default", "")
DIGITS = re.compile(r"[0-9a-fA-F]+")
NO_HEX = re.compile(r"[^0-9a-fA-F\s:]")

app = cyclopts.App(name="protocols", help="List, show and check protocols.")


@app.command(name="list")
def list_() -> int:
    """List the protocols that can be named here, and where they come from."""
    from iotsim.protocol.registry import is_bundled, list_protocols

    rows = list_protocols([Path()])
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
    from iotsim.protocol.examine import field_rows

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
        print(protocol.description)
    if protocol.echo:
        print(f"a reply takes from its request: {', '.join(protocol.echo)}")
    print()
    _print_table([FIELD_COLUMNS, *field_rows(protocol)])
    if protocol.answer is not None:
        print("\nwhat a device sends:\n")
        _print_table([FIELD_COLUMNS, *field_rows(protocol, answer=True)])
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

    chosen = names or tuple(name for name, _ in list_protocols([Path()]))
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


def decode(
    name: str,
    /,
    *data: Annotated[str, cyclopts.Parameter(allow_leading_hyphen=True)],
    answer: Annotated[bool, cyclopts.Parameter(negative=())] = False,
    state: Annotated[tuple[str, ...], cyclopts.Parameter(negative=())] = (),
) -> int:
    """Decode a datagram, field by field with offsets.

    Parameters
    ----------
    name
        The protocol's name.
    data
        The bytes in hex, with or without spaces; '-' reads them from standard input.
    answer
        It is one that a device sends, if the protocol says other things in this direction.
    state
        NAME=VALUE: what the device remembers, for a protocol that asks for it, such as the key with
        which it encrypts. The value is as in a data file. May be given several times.
    """
    from iotsim.protocol.examine import dissect, summary_line

    protocol = _load(name).protocol
    try:
        device = _device(state)
    except ValueError as error:
        print(f"iotsim: --state {error}", file=sys.stderr)
        return EXIT_ERROR
    try:
        payload = _parse_hex(sys.stdin.read(MOST_HEX) if data == ("-",) else " ".join(data))
    except ValueError as error:
        print(f"iotsim: that is no hex of a datagram: {error}", file=sys.stderr)
        return EXIT_ERROR
    dissection = dissect(protocol, payload, answer=answer, device=device)
    for line in dissection.lines():
        print(line)
    if dissection.message is None:
        return EXIT_ERROR
    summary = summary_line(protocol, dissection.message)
    if summary:
        print(f"\n{summary}")
    return 0


def _device(state: Sequence[str]) -> StandIn:
    """A device that remembers `state`; ValueError says what is wrong with it."""
    from iotsim.protocol.device import StandIn
    from iotsim.scenario.csvdata import parse_cell

    values = {}
    for text in state:
        name, equals, value = text.partition("=")
        if not equals:
            raise ValueError(f"{text!r}: must be NAME=VALUE")
        try:
            values[name] = parse_cell(value)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
    return StandIn(state=values, data=values)


def _parse_hex(text: str) -> bytes:
    """The bytes of `text`; ValueError says what is wrong with it."""
    if len(text) >= MOST_HEX:
        raise ValueError(f"it has more than {MOST_HEX} characters")
    text = text.strip().removeprefix("0x")
    wrong = NO_HEX.search(text)
    if wrong is not None:
        raise ValueError(f"it has {wrong[0]!r}")
    digits = "".join(DIGITS.findall(text))
    if len(digits) % 2:
        raise ValueError(f"it has an odd number of digits, {len(digits)}")
    if len(digits) > 2 * LARGEST_DATAGRAM:
        raise ValueError(f"{len(digits) // 2} bytes are more than UDP carries, {LARGEST_DATAGRAM}")
    return bytes.fromhex(digits)


def _show_model(protocol: Protocol) -> int:
    if protocol.model is None:
        print(f"iotsim: the protocol {protocol.name} has no model", file=sys.stderr)
        return EXIT_ERROR
    from iotsim.session.outline import model_keys

    print(f"{protocol.name}: what [devices.NAME.model] can have\n")
    _print_table([MODEL_COLUMNS, *model_keys(protocol.model)])
    return 0


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

    return load_protocol(name, [Path()])


def _print_table(rows: Sequence[Sequence[str]]) -> None:
    rows = [[safe_line(text) for text in row] for row in rows]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    for row in rows:
        cells = [text.ljust(width) for text, width in zip(row, widths, strict=False)]
        print("  ".join([*cells, row[-1]]).rstrip())
