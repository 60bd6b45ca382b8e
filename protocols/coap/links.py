"""``/.well-known/core``: the links to a device's resources (RFC 6690)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from .codes import FORMATS
from .options import segments

if TYPE_CHECKING:
    from .model import Resource

SEVERAL = ("rt", "if", "ct")
"""Attributes that are several values with spaces between, each of which may be what is looked for."""


class Link:
    """A link: what it says, and whether a query looks for it."""

    __slots__ = ("attributes", "text")

    def __init__(self, path: str, resource: Resource) -> None:
        target = "/" + "/".join(quote(one, safe="-._~!$&'()*+,;=:@") for one in segments(path))
        formats = [_number(one) for one in (resource.format, *resource.formats)]
        given: dict[str, Any] = {
            "rt": resource.rt,
            "if": resource.interface,
            "title": resource.title,
            "sz": resource.sz,
            "ct": " ".join(map(str, formats)) if len(formats) > 1 else formats[0],
            "obs": True if resource.observe is not None else None,
        }
        present = {name: value for name, value in given.items() if value not in ("", None)}
        self.text = f"<{target}>" + "".join(map(_attribute, present.items()))
        self.attributes = {"href": target, **present}

    def has(self, query: str) -> bool:
        """Whether it is looked for by ``name=value``, ``name=prefix*`` or ``name`` (section 4.1)."""
        name, equals, wanted = query.partition("=")
        value = self.attributes.get(name)
        if value is None or value is True or not equals:
            return value is not None and not wanted
        values = str(value).split() if name in SEVERAL else [str(value)]
        if wanted.endswith("*"):
            return any(one.startswith(wanted[:-1]) for one in values)
        return wanted in values


def _number(format_: str | int) -> int:
    return FORMATS[format_] if isinstance(format_, str) else format_


def _attribute(entry: tuple[str, Any]) -> str:
    name, value = entry
    if value is True:
        return f";{name}"
    if isinstance(value, int):
        return f";{name}={value}"
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f';{name}="{escaped}"'
