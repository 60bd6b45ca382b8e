"""`Schema`: the fields of a protocol's messages, read off its constructs.

`Schema.fields` maps dotted paths to `Field`, in the order of the wire. The fields of a nested
struct follow it (``status``, ``status.alarm``), those of an array's elements have ``[]`` in their
path (``readings[].value``). A field that stands in several cases of a Switch appears once.
"""

from __future__ import annotations

import difflib
import re
from functools import cached_property
from typing import TYPE_CHECKING, Any

from iotsim.protocol.field import Field
from iotsim.protocol.lower import lower
from iotsim.protocol.mentions import mentioned
from iotsim.protocol.table import field_table

if TYPE_CHECKING:
    from construct import Construct


class Schema:
    """The fields of a construct schema.

    ``free`` tells that a message may have any other fields, as one that is JSON.

    ``odd_fields`` are the fields of the message itself that may hold, or contain, what JSON has no
    form for, such as bytes; None means that any may.
    """

    def __init__(self, message: Construct[Any, Any]) -> None:
        self._message = message
        self.fields, self.free, opaque = field_table(lower(message))
        odd = (field for field in self.fields.values() if field.odd)
        names = dict.fromkeys(re.split(r"[.\[]", field.path)[0] for field in odd)
        self.odd_fields = None if opaque else tuple(names)

    @cached_property
    def mentioned(self) -> frozenset[str] | None:
        """The names on which the shape of a message may depend; None if that is not known."""
        return mentioned(self._message)

    def find(self, path: str) -> Field | None:
        """The field that ``path`` names; an index in it, as in ``readings.0.value``, is any.

        Below a field of the kind any there may be whatever is asked for, of the same kind, unless it is one
        of kinds that are known.
        """
        if path in self.fields:
            return self.fields[path]
        generic = re.sub(r"\.\d+(?=\.|\Z)|\[\d+\]", "[]", path)
        if generic in self.fields:
            return self.fields[generic]
        for step in reversed([*re.finditer(r"\.|\[", generic)]):
            above = self.fields.get(generic[: step.start()])
            if above is not None:
                free = above.kind == "any" and not above.mixed
                return Field(generic, "any", optional=True) if free else None
        return Field(generic, "any", optional=True) if self.free else None

    def nearest(self, name: str) -> str | None:
        """The field whose path is most like ``name``, if one is."""
        close = difflib.get_close_matches(name, self.fields, n=1, cutoff=0.5)
        if close:
            return close[0]
        for path in self.fields:
            if path.rpartition(".")[2].lower() == name.rpartition(".")[2].lower():
                return path
        return None


__all__ = ["Field", "Schema"]
