"""Reading groups of fields, alternatives, and arrays."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from iotsim.protocol import nodes as n
from iotsim.protocol.wireshark.lua import constant, function, quoted
from iotsim.protocol.wireshark.readers import FLAT, boolean, join, read

if TYPE_CHECKING:
    from collections.abc import Iterable

    from iotsim.protocol.wireshark.readers import Readers


def members(
    group: Iterable[n.Member], readers: Readers, path: str | None, label: str | None = None
) -> str:
    """Those of a group; ``label`` is the path of a Sequence, whose elements they are."""
    lines = []
    for member in group:
        shown = None
        if member.flat and path is not None:
            shown = FLAT + path
        elif member.name and (not member.name.startswith("_") or member.kept):
            shown = join(path, member.name)
        if label is not None:
            shown = f"{label}[]"
        read = readers.reader(member.node, shown)
        more = ', "flat"' if member.flat else ""
        if isinstance(member.node, n.Length):
            rest = boolean(member.node.rest)
            more = f", {{rest = {rest}, adjust = {member.node.adjust}}}"
        name = quoted(member.name) if member.name else "nil"
        lines.append(f"{{{name}, {read}{more}}},")
    body = textwrap.indent("\n".join(lines), "  ")
    return f"{{\n{body}\n}}" if lines else "{}"


@read.register(n.Struct)
def struct(node: n.Struct, readers: Readers, path: str | None) -> str:
    inside, field = path, "nil"
    if path is not None and path.startswith(FLAT):
        inside = path.removeprefix(FLAT)
    else:
        field = readers.field(path, "none")
    return f"struct({members(node.members, readers, inside)}, {field})"


@read.register(n.Sequence)
def sequence(node: n.Sequence, readers: Readers, path: str | None) -> str:
    if not path or path.startswith(FLAT):
        return f"struct({members(node.members, readers, path)}, nil)"
    return f"sequence({members(node.members, readers, None, path)}, {quoted(path)})"


@read.register(n.Focused)
def focused(node: n.Focused, readers: Readers, path: str | None) -> str:
    lines = []
    for member in node.members:
        inside = path if member.name == node.selected else None
        name = quoted(member.name) if member.name else "nil"
        lines.append(f"{{{name}, {readers.reader(member.node, inside)}}},")
    body = textwrap.indent("\n".join(lines), "  ")
    return f"struct({{\n{body}\n}}, nil, {quoted(node.selected)})"


@read.register(n.Switch)
def switch(node: n.Switch, readers: Readers, path: str | None) -> str:
    key = function(node.key)
    lines = []
    for case, inner in node.cases.items():
        case = int(case) if isinstance(case, bool) else case
        lines.append(f"[{constant(case)}] = {readers.alternative(inner, path)},")
    body = textwrap.indent("\n".join(lines), "  ")
    return f"switch({key}, {{\n{body}\n}}, {readers.alternative(node.default, path)})"


@read.register(n.If)
def choose(node: n.If, readers: Readers, path: str | None) -> str:
    lines = [
        f"{{{function(condition)}, {readers.alternative(branch, path)}}},"
        for condition, branch in node.branches
    ]
    body = textwrap.indent("\n".join(lines), "  ")
    return f"choose({{\n{body}\n}})"


@read.register(n.Select)
def select(node: n.Select, readers: Readers, path: str | None) -> str:
    lines = [f"{readers.alternative(choice, path)}," for choice in node.choices]
    body = textwrap.indent("\n".join(lines), "  ")
    return f"select_first({{\n{body}\n}})"


@read.register(n.Repeat)
def repeat(node: n.Repeat, readers: Readers, path: str | None) -> str:
    count = "nil" if node.count is None else function(node.count)
    readers.bit = None
    inner = readers.reader(node.inner, f"{path}[]" if path else None)
    return f"array({inner}, {count}, {quoted(path or '(unnamed)')})"
