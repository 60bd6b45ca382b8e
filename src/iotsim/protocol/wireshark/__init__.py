"""A dissector for Wireshark, in Lua, from a protocol's schema.

`dissector` is all that others need. The file that it writes is first what can read whatever a schema says,
the files of ``runtime/`` one after the other, and after it the schema as calls of that:

`readers`   `Readers`, and `readers.read`, with which the next five register a function for each kind of node
`numbers`   numbers, flags, and their names
`values`    texts, bytes, bodies, what is calculated
`verified`  constants, checks, checksums, lengths
`groups`    structs, alternatives, arrays
`inside`    data within data, words of bits, Natives
`fields`    the fields of Wireshark that they fill
`lua`       pieces of Lua
"""

from __future__ import annotations

import string
from importlib.resources import files
from typing import TYPE_CHECKING, NamedTuple

from iotsim.protocol.lower import lower
from iotsim.protocol.wireshark import groups, inside, numbers, values, verified  # noqa: F401
from iotsim.protocol.wireshark.fields import Fields, ProtoField
from iotsim.protocol.wireshark.lua import comment, quoted
from iotsim.protocol.wireshark.readers import Readers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from iotsim.protocol.definition import Protocol

__all__ = ["Dissector", "dissector"]


class Dissector(NamedTuple):
    """A dissector as Lua, and what it does not say as the protocol does.

    ``missing``  paths of what is shown as bytes, or not verified, with the reasons
    ``renamed``  paths whose name in Wireshark is another, with that
    ``fields``   those of Wireshark
    """

    source: str
    missing: dict[str, str]
    renamed: dict[str, str]
    fields: tuple[ProtoField, ...]

    @property
    def abbreviations(self) -> dict[str, dict[str, dict[str, int]]]:
        """The names in Wireshark of the field at a path, each with the names of its values."""
        found: dict[str, dict[str, dict[str, int]]] = {}
        for field in self.fields:
            names = found.setdefault(field.path, {}).setdefault(field.abbreviation, {})
            names.update({name: number for number, name in field.names.items()})
        return found

    def notes(self) -> Iterator[str]:
        """Both as lines."""
        for path, reason in self.missing.items():
            yield f"{path}: {reason}"
        for path, name in self.renamed.items():
            yield f"{path}: its name in Wireshark is {name}"


def dissector(protocol: Protocol) -> Dissector:
    """The dissector of a protocol's datagrams."""
    fields = Fields()
    readers = Readers(fields)
    message = readers.reader(lower(protocol.message, protocol.strict), "")
    answer = "nil"
    if protocol.answer is not None:
        answer = readers.reader(lower(protocol.answer, protocol.strict), "")
    missing, renamed = readers.missing, fields.renamed
    notes = list(Dissector("", missing, renamed, ()).notes())
    title = f"{protocol.name}, as iotsim speaks it"
    if protocol.description:
        title += f" ({protocol.description})"
    parts = [
        comment(f"Wireshark's dissector of {title}, written by iotsim protocols wireshark."),
        comment(
            "It belongs into the folder of personal Lua plugins (Help, About Wireshark, Folders)."
        ),
        *(
            [comment("Other than in iotsim:"), *(comment(f"  {note}") for note in notes)]
            if notes
            else []
        ),
        _HEAD.format(
            name=quoted(protocol.name),
            title=quoted(title),
            ask="true" if readers.natives else "false",
            port=protocol.port,
        ),
        *(files(__package__).joinpath("runtime", f"{part}.lua").read_text() for part in _RUNTIME),
        "-- The schema ------------------------------------------------------------------\n\nlocal f = {}",
        *(f"f[{quoted(name)}] = {field.source()}" for name, field in fields.made.items()),
        *(
            f"wide[f[{quoted(name)}]] = {'U' if field.type[0] == 'u' else ''}Int64.new"
            for name, field in fields.made.items()
            if field.type in ("int64", "uint64")
        ),
        f"\nlocal message = {message}\n\nlocal answer = {answer}\n",
        f"local SUMMARY = {_summary(protocol, fields)}",
        _TAIL.format(port=protocol.port, strict="true" if protocol.strict else "false"),
    ]
    return Dissector("\n".join(parts), missing, renamed, tuple(fields.made.values()))


def _summary(protocol: Protocol, fields: Fields) -> str:
    """The summary as a list: texts, and for each field the ProtoFields that it may be, with their names."""
    parts = []
    for before, path, _, _ in string.Formatter().parse(protocol.summary):
        if before:
            parts.append(quoted(before))
        if path is not None:
            parts.append("{" + ", ".join(_said(path, fields)) + "}")
    return "{" + ", ".join(parts) + "}"


def _said(path: str, fields: Fields) -> Iterator[str]:
    for variable, field in fields.made.items():
        if field.path == path:
            names = ", ".join(
                f"[{number}] = {quoted(name)}" for number, name in field.names.items()
            )
            yield f"{{f[{quoted(variable)}], {{{names}}}}}"


_RUNTIME = "cursor", "expressions", "values", "groups", "inside", "checksums", "show"
"""The parts of it, each of which uses those before."""
_HEAD = """
local NAME = {name}
local ok, proto = pcall(Proto, NAME, {title})
if not ok then
  NAME = "iotsim_" .. NAME -- Wireshark has a protocol of that name
  proto = Proto(NAME, {title})
end
local PREFIX = NAME .. "."
local ports = DissectorTable.get("udp.port")
-- Wireshark's own for the port, which shows what is only bytes here
local own = not ok and {ask} and ports:get_dissector({port})
"""
_TAIL = """
-- What Wireshark is told ----------------------------------------------------------------------------

for _, field in pairs(f) do proto.fields[#proto.fields + 1] = field end
local group, severity = expert.group, expert.severity
local malformed = ProtoExpert.new(PREFIX .. "_malformed", "Malformed", group.MALFORMED, severity.ERROR)
local mistaken = ProtoExpert.new(PREFIX .. "_mistaken", "Mistaken", group.PROTOCOL, severity.WARN)
proto.experts = {{malformed, mistaken}}

function proto.dissector(tvb, pinfo, tree)
  local first, second = message, answer
  if answer and pinfo.src_port == (pinfo.match_uint or {port}) then first, second = answer, message end
  local c = read_all(tvb, first, {strict})
  if c.failed and second and pinfo.src_port == pinfo.dst_port then c = read_all(tvb, second, {strict}) end
  local root = tree:add(proto, tvb:range())
  show(tvb, pinfo, root, c.items)
  for _, one in ipairs(c.wrong) do
    root:add_tvb_expert_info(mistaken, tvb:range(one.from, one.to - one.from), one.why)
  end
  if c.failed then root:add_tvb_expert_info(malformed, tvb:range(c.at, tvb:len() - c.at), c.failed) end
  pinfo.cols.protocol:set(NAME)
  pinfo.cols.info:set(c.failed and "Malformed: " .. c.failed or summary(c, SUMMARY))
  if own then pcall(own.call, own, tvb, pinfo, root) end
  return tvb:len()
end

-- A port that Wireshark has a dissector for stays with that; "Decode As" gives it to this one.
if ports:get_dissector({port}) == nil then
  ports:add({port}, proto)
else
  ports:add_for_decode_as(proto)
end
"""
