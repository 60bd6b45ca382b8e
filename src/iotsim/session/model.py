"""Models: what a device offers in a protocol, as a table of the scenario that the protocol declares.

A protocol declares its table as a class of annotated fields, as `pydantic` has it, out of the types here::

    class Resource(Table):
        value: Value
        observe: Duration | None = None

What a scenario writes is held against it when the file is loaded: unknown keys, types and ranges are told
with their place.
"""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, Protocol, get_args, get_origin

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationInfo, model_validator

from iotsim.units import parse_bytes, parse_duration

if TYPE_CHECKING:
    from collections.abc import Callable


class Table(BaseModel):
    """A table of a model. Fields without a default are required; unknown keys are refused; nothing is
    converted: a text is no number, 1 is not true."""

    model_config = ConfigDict(
        strict=True, extra="forbid", frozen=True, arbitrary_types_allowed=True
    )

    @model_validator(mode="before")
    @classmethod
    def _as_meant(cls, given: Any) -> Any:
        """What TOML has no form for: it has texts for the names of a table, also where those are numbers,
        and for bytes. A plain default of a value is taken as if it stood in the scenario."""
        if not isinstance(given, dict):
            return given
        given = dict(given)
        for field_name, field in cls.model_fields.items():
            name, annotation = field.alias or field_name, field.annotation
            if name not in given:
                if (
                    not field.is_required()
                    and not field.validate_default
                    and _has(Cell, annotation)
                ):
                    default = field.get_default(call_default_factory=True, validated_data={})
                    if default is not None:
                        given[name] = default
                continue
            value = given[name]
            if isinstance(value, dict) and get_origin(annotation) is dict:
                given[name] = value = _numbered(value) if get_args(annotation)[0] is int else value
            if value.__class__ in (str, list, dict) and _has(bytes, annotation):
                given[name] = _with_bytes(value, annotation)
        return given

    def check_device(self, known: Callable[[Cell], Any]) -> None:
        """Raise ValueError for what no device can have. Of the table that is a protocol's model it is called
        as a scenario is loaded, for each device; `known` gives the value that a cell will have, expressions
        among them, and None where only a run can tell."""


def _has(wanted: type, annotation: Any) -> bool:
    """Whether something in what has that annotation may be `wanted`."""
    return annotation is wanted or any(_has(wanted, part) for part in get_args(annotation))


def _with_bytes(value: Any, annotation: Any) -> Any:
    """`value` with bytes for the texts ``hex:…`` that stand where these may."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if isinstance(value, str):
        if value.startswith("hex:") and _takes_bytes(annotation):
            with contextlib.suppress(ValueError):  # pydantic tells of what stays a text
                return parse_bytes(value)
    elif origin is list and isinstance(value, list):
        return [_with_bytes(one, inner[0]) for one in value]
    elif origin is dict and isinstance(value, dict):
        return {key: _with_bytes(one, inner[1]) for key, one in value.items()}
    elif origin not in (list, dict):
        for part in inner:
            value = _with_bytes(value, part)
    return value


def _takes_bytes(annotation: Any) -> bool:
    """Whether it is the annotation of bytes, perhaps among other types."""
    if get_origin(annotation) in (list, dict):
        return False
    return annotation is bytes or any(map(_takes_bytes, get_args(annotation)))


def _numbered(table: dict[Any, Any]) -> dict[Any, Any]:
    return {int(key) if _NUMBER.fullmatch(str(key)) else key: value for key, value in table.items()}


_NUMBER = re.compile(r"-?(0|[1-9][0-9]{0,18})", re.ASCII)


class Compiler(Protocol):
    """What makes values of what a scenario writes. All raise ValueError."""

    def literal(self, value: Any) -> Any: ...
    def expression(self, text: str) -> Callable[[Any, float], Any]:
        """A function of the device and the time."""

    def file(self, name: str) -> bytes:
        """What is in the file of that name, which is relative to the scenario's."""


class Cell:
    """A value of a model: a literal, or an expression over signals, state, ``device`` and ``t``.

    ``literal`` is each device's own, and can be written by its session. Of expressions only
    ``"=state.NAME"`` can, which writes the state, ``state`` being the name; ``evaluate`` is a function of
    the device and the time, ``text`` the expression as it is written.
    """

    __slots__ = ("evaluate", "literal", "state", "text")

    def __init__(
        self,
        literal: Any = None,
        evaluate: Callable[[Any, float], Any] | None = None,
        state: str = "",
        text: str = "",
    ) -> None:
        self.literal = literal
        self.evaluate = evaluate
        self.state = state
        self.text = text

    @property
    def writable(self) -> bool:
        return self.evaluate is None or bool(self.state)

    def __repr__(self) -> str:
        return f"<Cell {self.literal!r}>" if self.evaluate is None else f"<Cell ={self.text}>"


def _cell(value: Any, info: ValidationInfo) -> Cell:
    if isinstance(value, Cell):
        return value
    compiler: Compiler | None = info.context
    if isinstance(value, str) and value.startswith("="):
        if compiler is None:
            raise ValueError("no expression can stand here")
        text = value[1:].strip()
        name = text.removeprefix("state.")
        state = name if name != text and name.isidentifier() else ""
        return Cell(None, compiler.expression(text), state, text)
    return Cell(value if compiler is None else compiler.literal(value))


class NamedFile(NamedTuple):
    """A file that a scenario names, and what is in it."""

    name: str
    data: bytes

    @property
    def text(self) -> str:
        """It as UTF-8; ValueError if it is none."""
        try:
            return self.data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = self.data.count(b"\n", 0, error.start) + 1
            raise self.error(line, "no text in UTF-8") from None

    def error(self, line: int, reason: object) -> ValueError:
        """What to raise if `line`, counted from 1, is wrong."""
        return ValueError(f"{self.name[:200]}:{line}: {reason}")


def _file(value: Any, info: ValidationInfo) -> NamedFile:
    compiler: Compiler | None = info.context
    if not isinstance(value, str):
        raise ValueError("must be the name of a file")
    if compiler is None:
        raise ValueError("no file can be named here")
    try:
        return NamedFile(value, compiler.file(value))
    except ValueError as error:
        raise ValueError(f"{value[:200]}: {error}") from None


def _duration(value: Any) -> float:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        raise ValueError(f"{value} has no unit; write '{value}s' or '{value}ms'")
    if not isinstance(value, str):
        raise ValueError("must be a time, such as '5s'")
    return parse_duration(value)


Value = Annotated[Cell, BeforeValidator(_cell)]
"""A literal or an expression: a `Cell`."""
Duration = Annotated[float, BeforeValidator(_duration)]
"""``"5s"``: seconds."""
File = Annotated[NamedFile, BeforeValidator(_file)]
"""The name of a file beside the scenario: a `NamedFile`."""
