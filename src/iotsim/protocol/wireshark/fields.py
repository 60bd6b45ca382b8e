"""`Fields`: the ProtoFields of a dissector, and the names that Wireshark has for them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from iotsim.protocol.wireshark.lua import quoted

if TYPE_CHECKING:
    from collections.abc import Mapping

_REFUSED = re.compile(r"[^A-Za-z0-9._-]")
_SIMILAR = {
    **dict.fromkeys(("uint8", "uint16", "uint24", "uint32"), "uint"),
    **dict.fromkeys(("int8", "int16", "int24", "int32"), "int"),
    **dict.fromkeys(("float", "double"), "float"),
}
"""Types that Wireshark's filters take for one."""

_LUA_TYPES = {
    "string": ("string",),
    "bytes": ("bytes",),
    "bool": ("boolean",),
    "uint64": ("number", "userdata"),
    "none": ("group",),
}
"""The types of Lua's values, where that is not just number; bytes and groups have no values."""


@dataclass(frozen=True)
class ProtoField:
    """One field as Wireshark is told of it. ``names`` are those of its values."""

    abbreviation: str
    path: str
    type: str
    names: Mapping[int, str] = field(default_factory=dict, hash=False)
    mask: int = 0
    width: int = 0
    """Of a flag: how many bits its word has."""

    def source(self) -> str:
        """The call that makes it; ``values`` is the variable with its names."""
        label = self.path.rpartition(".")[2] or self.path
        more: list[str] = []
        if self.type == "bool":
            more = [str(self.width) if self.mask else "base.NONE", "nil", hex(self.mask or 0)]
        elif re.match("u?int", self.type):
            names = ", ".join(f"[{number}] = {quoted(name)}" for number, name in self.names.items())
            values = "{" + names + "}" if names and "64" not in self.type else "nil"
            more = ["base.DEC", values, hex(self.mask) if self.mask else "nil"]
        elif self.type in ("string", "bytes"):
            more = ["base.NONE" if self.type == "bytes" else "base.UNICODE"]
        arguments = ", ".join([f"PREFIX .. {quoted(self.abbreviation)}", quoted(label), *more])
        return f"ProtoField.{self.type}({arguments})"


class Fields:
    """The ProtoFields of a dissector, by the names of their variables."""

    def __init__(self) -> None:
        self.made: dict[str, ProtoField] = {}
        self.renamed: dict[str, str] = {}
        """Paths whose abbreviation is another text, with it."""
        self._taken: dict[str, tuple[str, str]] = {}

    def add(
        self,
        path: str,
        type_: str,
        names: Mapping[int, str] | None = None,
        mask: int = 0,
        width: int = 0,
    ) -> str:
        """The variable of a field, which is made unless there is one like it."""
        path = path.replace("[]", "")
        abbreviation = self._abbreviation(path, _SIMILAR.get(type_, type_))
        made = ProtoField(abbreviation, path, type_, names or {}, mask, width)
        for name, other in self.made.items():
            if other == made:
                return f"f[{quoted(name)}]"
        name, number = path, 2
        while name in self.made:
            name, number = f"{path} {number}", number + 1
        self.made[name] = made
        return f"f[{quoted(name)}]"

    def below(self, path: str) -> dict[str, str]:
        """The fields at a path and below, by the rest of theirs: the variable for each type of Lua's."""
        found: dict[str, dict[str, str]] = {}
        start = f"{path}." if path else ""
        for variable, made in self.made.items():
            if made.path == path or made.path.startswith(start):
                kinds = found.setdefault(made.path[len(start) :], {})
                for kind in _LUA_TYPES.get(made.type, ("number",)):
                    kinds.setdefault(kind, f"f[{quoted(variable)}]")
        return {
            name: ", ".join(f"{kind} = {variable}" for kind, variable in kinds.items())
            for name, kinds in found.items()
        }

    def forget(self, path: str) -> None:
        """Those at a path and below."""

        def is_there(other: str) -> bool:
            return f"{other}.".startswith(f"{path}.")

        self.made = {name: made for name, made in self.made.items() if not is_there(made.path)}
        self._taken = {name: one for name, one in self._taken.items() if not is_there(one[0])}
        self.renamed = {
            one: name for one, name in self.renamed.items() if not is_there(one.rpartition(" (")[0])
        }

    def _abbreviation(self, path: str, kind: str) -> str:
        """The path, in the characters that Wireshark allows; with a number if that is taken."""
        wanted = ".".join(_REFUSED.sub("_", step) or "_" for step in path.split("."))
        name, number = wanted, 2
        while self._taken.setdefault(name, (path, kind)) != (path, kind):
            name, number = f"{wanted}_{number}", number + 1
        if name != path:
            self.renamed[f"{path} ({kind})"] = name
        return name
