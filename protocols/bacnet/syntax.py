"""The parameters of services (clause 21): productions as tables, that are read and written by one walk."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from iotsim import EncodeError

from .datatypes import names_of, natural_type, type_of
from .tags import (
    DEEPEST,
    MOST_ELEMENTS,
    PRIMITIVES,
    TYPE_NAMES,
    MalformedError,
    enclosed,
    head,
    read_content,
    read_tag,
    write_content,
    write_primitive,
)

if TYPE_CHECKING:
    from .enumerations import Names

Value = dict[str, Any]


class Item(NamedTuple):
    """A field of a production. ``tag`` is its context tag, None where it has an application tag.

    ``kind`` is a primitive's name, ANY (its value and type are two fields), or a tuple of items: one
    production, or with ``many`` a list of such.
    """

    name: str
    tag: int | None
    kind: Any
    optional: bool = False
    names: Names | None = None
    many: bool = False


class Owner:
    """Of which object and property values are: they say how values are named."""

    def __init__(self) -> None:
        self.object = ""
        self.property: str | int = ""

    def note(self, name: str, value: Any) -> None:
        if name in ("object", "monitored_object"):
            self.object = str(value)
        elif name == "property":
            self.property = value


class Cursor(Owner):
    """Where reading stands."""

    def __init__(self, data: bytes, at: int, end: int) -> None:
        super().__init__()
        self.data = data[:end]
        self.at = at
        self.end = end
        self.elements = 0

    @property
    def done(self) -> bool:
        return self.at >= self.end

    def is_closed(self, tag: int | None) -> bool:
        """Whether a list ends here: at its closing tag, or with the data."""
        if tag is None:
            return self.done
        return read_tag(self.data, self.at).closes(tag)

    def close(self, tag: int, path: str) -> None:
        found = read_tag(self.data, self.at, path)
        if not found.closes(tag):
            raise MalformedError(f"the closing tag {tag} is missing", path, self.at)
        self.at = found.end


def read_items(cursor: Cursor, items: tuple[Item, ...], path: str = "") -> Value:
    value: Value = {}
    for item in items:
        where = f"{path}.{item.name}" if path else item.name
        if not _is_next(cursor, item):
            if not item.optional:
                raise MalformedError("it is missing", where, cursor.at, _missing(cursor))
            value.update(_absent(item))
            continue
        _read_item(cursor, item, value, where)
    return value


def _missing(cursor: Cursor) -> str:
    ends = cursor.done or read_tag(cursor.data, cursor.at).form == "closing"
    return "MISSING_REQUIRED_PARAMETER" if ends else "INVALID_TAG"


def _absent(item: Item) -> Value:
    return {"type": None, item.name: None} if item.kind == "ANY" else {item.name: None}


def _is_next(cursor: Cursor, item: Item) -> bool:
    if cursor.done:
        return False
    if item.tag is None and item.many:
        return True
    tag = read_tag(cursor.data, cursor.at)
    if item.tag is None:
        if isinstance(item.kind, tuple):
            return tag.form != "closing"
        return not tag.context and tag.number == PRIMITIVES[item.kind].tag
    opens = item.many or isinstance(item.kind, tuple) or item.kind == "ANY"
    return (
        tag.context and tag.number == item.tag and tag.form == ("opening" if opens else "primitive")
    )


def _read_item(cursor: Cursor, item: Item, value: Value, path: str) -> None:
    name, number = item.name, item.tag
    if item.many or isinstance(item.kind, tuple) or item.kind == "ANY":
        if number is not None:
            cursor.at = read_tag(cursor.data, cursor.at, path).end
        if item.kind == "ANY":
            value["type"], value[name] = _read_any(cursor, number, path)
        elif item.many:
            found: list[Any] = []
            while not cursor.is_closed(number):
                inside: Value = {}
                one = Item("", None, item.kind, names=item.names)
                _read_item(cursor, one, inside, f"{path}.{len(found)}")
                found.append(inside[""])
                cursor.elements += 1
                if cursor.elements > MOST_ELEMENTS:
                    raise MalformedError(
                        "there are too many", path, cursor.at, "TOO_MANY_ARGUMENTS"
                    )
            value[name] = found
        else:
            value[name] = read_items(cursor, item.kind, path)
        if number is not None:
            cursor.close(number, path)
        return
    tag = read_tag(cursor.data, cursor.at, path)
    if number is None and (tag.context or tag.number != PRIMITIVES[item.kind].tag):
        raise MalformedError(f"it is no {item.kind}", path, cursor.at)
    value[name] = read_content(item.kind, cursor.data, tag, path, item.names)
    cursor.at = tag.end
    cursor.note(name, value[name])


def _read_any(cursor: Cursor, number: int | None, path: str) -> tuple[str, Any]:
    """One value of an application tag is itself; all else is a list of elements."""
    elements = read_elements(cursor, number, path, 0)
    if len(elements) == 1 and "tag" not in elements[0]:
        return elements[0]["type"], elements[0]["value"]
    return "LIST", elements


def read_elements(cursor: Cursor, number: int | None, path: str, depth: int) -> list[Value]:
    """Elements up to the closing tag `number`, which is not read, or the end."""
    if depth > DEEPEST:
        raise MalformedError("too many values in one another", path, cursor.at, "OTHER")
    found: list[Value] = []
    names = names_of(cursor.object, cursor.property)
    while not cursor.is_closed(number):
        cursor.elements += 1
        if cursor.elements > MOST_ELEMENTS:
            raise MalformedError("there are too many", path, cursor.at, "TOO_MANY_ARGUMENTS")
        tag = read_tag(cursor.data, cursor.at, path)
        cursor.at = tag.end
        if tag.form == "opening":
            inside = read_elements(cursor, tag.number, path, depth + 1)
            cursor.close(tag.number, path)
            found.append({"type": "OPENED", "tag": tag.number, "value": inside})
        elif tag.form == "closing":
            raise MalformedError(
                f"a closing tag {tag.number} that nothing has opened", path, tag.start
            )
        elif tag.context:
            octets = cursor.data[tag.start : tag.end]
            found.append({"type": "CONTEXT", "tag": tag.number, "value": octets})
        else:
            kind = TYPE_NAMES.get(tag.number)
            if kind is None:
                raise MalformedError(f"no type has the tag {tag.number}", path, tag.start)
            named = names if kind == "ENUMERATED" else None
            found.append({"type": kind, "value": read_content(kind, cursor.data, tag, path, named)})
    return found


# -- out ---------------------------------------------------------------------------------------------


class Writer(Owner):
    """Writes what `read_items` reads."""

    def items(self, value: Value, items: tuple[Item, ...], path: str = "") -> bytes:
        if not isinstance(value, dict):
            raise EncodeError("it is no table", path)
        if path:
            _refuse_unknown(value, items, path)
        parts = []
        for item in items:
            where = f"{path}.{item.name}" if path else item.name
            given = value.get(item.name)
            if given is None and not (item.kind == "ANY" and _says_null(value, item)):
                if not item.optional and not (item.many and item.tag is None):
                    raise EncodeError("the message needs this field", where)
                continue
            parts.append(self._item(item, given, value, where))
        return b"".join(parts)

    def _item(self, item: Item, given: Any, value: Value, path: str) -> bytes:
        if item.kind == "ANY":
            content = self._any(value.get("type"), given, path)
        elif item.many:
            if not isinstance(given, list | tuple):
                raise EncodeError("it is no list", path)
            one = Item("", None, item.kind, names=item.names)
            content = b"".join(
                self._item(one, each, {}, f"{path}.{index}") for index, each in enumerate(given)
            )
        elif isinstance(item.kind, tuple):
            content = self.items(given, item.kind, path)
        elif item.tag is None:
            self.note(item.name, given)
            return write_primitive(item.kind, given, path, item.names)
        else:
            self.note(item.name, given)
            content = write_content(item.kind, given, path, item.names)
            return head(item.tag, context=True, length=len(content)) + content
        return content if item.tag is None else enclosed(item.tag, content)

    def _any(self, kind: str | None, given: Any, path: str) -> bytes:
        if kind == "LIST" or (kind is None and isinstance(given, list | tuple)):
            if not isinstance(given, list | tuple):
                raise EncodeError("it is no list", path)
            return b"".join(
                self.element(each, f"{path}.{index}") for index, each in enumerate(given)
            )
        return self._typed(kind, given, path)

    def element(self, one: Any, path: str, depth: int = 0) -> bytes:
        """An element of a list: ``{ type, value }``, with a ``tag`` in what is constructed; or a value."""
        if not isinstance(one, dict):
            return self._typed(None, one, path)
        kind, number, value = one.get("type"), one.get("tag"), one.get("value")
        if kind not in ("CONTEXT", "OPENED"):
            return self._typed(kind, value, path)
        if not isinstance(number, int) or not 0 <= number < 255 or depth > DEEPEST:
            raise EncodeError("a tag is a number from 0 to 254", f"{path}.tag")
        if kind == "CONTEXT":
            content = write_content("OCTET_STRING", value, path)
            return head(number, context=True, length=len(content)) + content
        if not isinstance(value, list | tuple):
            raise EncodeError("it is no list", path)
        parts = (self.element(each, f"{path}.{i}", depth + 1) for i, each in enumerate(value))
        return enclosed(number, b"".join(parts))

    def _typed(self, kind: str | None, value: Any, path: str) -> bytes:
        names = names_of(self.object, self.property)
        kind = kind or natural_type(value, type_of(self.object, self.property))
        if kind not in PRIMITIVES:
            raise EncodeError(f"there is no type {kind!r:.60}", path)
        return write_primitive(kind, value, path, names if kind == "ENUMERATED" else None)


def _refuse_unknown(value: Value, items: tuple[Item, ...], path: str) -> None:
    known = {item.name for item in items}
    for name in value:
        if name not in known and name != "type":
            raise EncodeError("there is no such field", f"{path}.{name}")


def _says_null(value: Value, item: Item) -> bool:
    """Whether a value that is absent is the value Null."""
    return item.name in value and (value.get("type") == "NULL" or not item.optional)
