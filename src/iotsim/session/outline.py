"""The keys of a model, for people: paths, types, defaults."""

from __future__ import annotations

from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Union, get_args, get_origin

from pydantic import BaseModel

from iotsim.session.model import Cell, Duration, NamedFile
from iotsim.units import bytes_as_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic.fields import FieldInfo

DURATION = get_args(Duration)[1]
NAMES = {
    Cell: "a value, or an expression",
    NamedFile: "the name of a file",
    str: "a text",
    int: "an integer",
    float: "a number",
    bool: "true or false",
    bytes: "bytes, as 'hex:0aff'",
    Any: "anything",
    NoneType: "",
}


class KeyRow(NamedTuple):
    """A key of a model: its path (``NAME`` stands for any key), what it takes, its default, and what it is
    for. The default is "" of a table, and of a key that may be missing; ``required`` of one that may not."""

    path: str
    type: str
    default: str
    note: str


def model_keys(model: type[BaseModel], path: str = "") -> Iterator[KeyRow]:
    """The keys of `model` and of the tables in it, in order."""
    for name, field in model.model_fields.items():
        name = field.alias or name
        here = f"{path}.{name}" if path else name
        annotation: Any = field.annotation
        yield KeyRow(here, _type(annotation, field), _default(field), field.description or "")
        yield from _inside(annotation, here)


def _inside(annotation: Any, path: str) -> Iterator[KeyRow]:
    """The keys of what is in a dict, in a list, or is one of several types."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if _is_table(annotation):
        yield from model_keys(annotation, path)
    elif origin is dict:
        yield from _inside(inner[1], f"{path}.NAME")
    elif origin is list:
        yield from _inside(inner[0], f"{path}[]")
    elif origin in (Union, UnionType):
        for one in inner:
            yield from _inside(one, path)


def _type(annotation: Any, field: FieldInfo | None = None) -> str:
    metadata = () if field is None else field.metadata
    if any(one == DURATION for one in metadata):
        return "a time"
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return " or ".join(
            repr(choice) if isinstance(choice, str) else str(choice) for choice in inner
        )
    if origin in (Union, UnionType):
        return " or ".join(filter(None, dict.fromkeys(map(_type, inner))))
    if origin is dict:
        return f"a table: NAME = {_type(inner[1])}" if not _is_table(inner[1]) else "tables by NAME"
    if origin is list:
        return f"a list: {_type(inner[0])}"
    if origin is not None and hasattr(annotation, "__metadata__"):
        if DURATION in annotation.__metadata__:
            return "a time"
        return _type(inner[0])
    if _is_table(annotation):
        return "a table"
    return NAMES.get(annotation, getattr(annotation, "__name__", str(annotation))) + _bounds(
        metadata
    )


def _bounds(metadata: Any) -> str:
    """`` from 1 to 5``, for a number that has such bounds."""
    low = high = None
    for one in metadata:
        low = getattr(one, "ge", low)
        high = getattr(one, "le", high)
    text = "" if low is None else f" from {low}"
    return text if high is None else f"{text} to {high}"


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    default = field.get_default(call_default_factory=True, validated_data={})
    if default is None or isinstance(default, (dict, list, tuple, BaseModel)):
        return ""
    if isinstance(default, Cell):
        default = default.literal
    default = bytes_as_text(default)
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, float) and any(one == DURATION for one in field.metadata):
        return f'"{default:g}s"'
    return f'"{default}"' if isinstance(default, str) else str(default)


def _is_table(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)
