"""What the schemas of all tables are made of: pydantic models, types of values, and `check`.

Each model is one table by itself, and stands in the file of its builder; what lies inside a table
is checked by a model of its own, so that a problem knows which keys the table could have had.
Values with units are parsed here. Nothing is converted silently: a text is no number, 1 is not
true, and an unknown key is a problem.
"""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from iotsim.match.fieldpath import nearest
from iotsim.match.pattern import Pattern
from iotsim.units import UNITS, DurationRange, parse_duration, parse_duration_range

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import FrameType

    from pydantic import GetJsonSchemaHandler
    from pydantic.json_schema import JsonSchemaValue
    from pydantic_core import CoreSchema

    from iotsim.scenario.problems import Problems
    from iotsim.scenario.toml import Keys

MOST_ITEMS = 10_000
LONGEST_TEXT = 10_000
WRITTEN: dict[Callable[[Any], Any], Mapping[str, Any]] = {}
"""How the values that a validator takes are written, as JSON Schema. What other validators take before
pydantic sees it is not known: `iotsim.scenario.jsonschema` lets everything stand there."""

_UNIT = "|".join(sorted(UNITS, key=len, reverse=True))
_DURATION = rf"(?:[0-9]+(?:\.[0-9]+)?\s*(?:{_UNIT})\s*)+"
DURATION_PATTERN = rf"^\s*{_DURATION}$"
RANGE_PATTERN = rf"^\s*{_DURATION}(?:\.\.\s*{_DURATION})?$"


def written(validate: Callable[[Any], Any], **schema: Any) -> Callable[[Any], Any]:
    """`validate`, of which it is known how its values are written."""
    WRITTEN[validate] = schema
    return validate


def from_text(parse: Callable[[str], Any], example: str, pattern: str = "") -> Callable[[Any], Any]:
    def validate(value: Any) -> Any:
        if not isinstance(value, str):
            raise ValueError(f"must be a text such as {example}")
        return parse(value)

    examples = [text for text in example.split("'")[1::2] if text]
    limits = {"pattern": pattern} if pattern else {}
    return written(validate, type="string", examples=examples, **limits)


def _time(parse: Callable[[str], Any], example: str, pattern: str) -> Callable[[Any], Any]:
    parsed = from_text(parse, example, pattern)

    def validate(value: Any) -> Any:
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            raise ValueError(f"{value} has no unit; write '{value}s' or '{value}ms'")
        return parsed(value)

    return written(validate, **WRITTEN[parsed])


def _texts(value: Any) -> Any:
    """One text, or a list of them."""
    items = value if isinstance(value, list) else [value]
    if not items or not all(isinstance(item, str) for item in items):
        raise ValueError("must be a text or a list of texts")
    return items


def is_table(example: str = "") -> Callable[[Any], Any]:
    such = f", such as {example}" if example else ""

    def validate(value: Any) -> Any:
        if not isinstance(value, dict):
            raise ValueError(f"must be a table{such}")
        return value

    return written(validate, type="object")


def _tables(example: str = "") -> Callable[[Any], Any]:
    """One table, or a list of them."""
    such = f", such as {example}" if example else ""

    def validate(value: Any) -> Any:
        items = value if isinstance(value, list) else [value]
        if not items or not all(isinstance(item, dict) for item in items):
            raise ValueError(f"must be a table or a list of tables{such}")
        return items

    return written(validate, **one_or_several({"type": "object"}))


def one_or_several(schema: Mapping[str, Any]) -> dict[str, Any]:
    """As JSON Schema: one of what `schema` describes, or a list of them."""
    return {"anyOf": [schema, {"type": "array", "items": schema, "minItems": 1}]}


written(_texts, **one_or_several({"type": "string"}))


class Holds:
    """Of a `Table` or `Tables` in a model: what is inside is checked by another model, and not by pydantic.

    It is for `iotsim.scenario.jsonschema` alone. Each of `ways` to write it is a model, a function that gives
    one that stands further below, or a JSON Schema. With `several` it may be a list of them, too.
    """

    def __init__(
        self,
        *ways: type[Model] | Callable[[], type[Model]] | Mapping[str, Any],
        several: bool = False,
    ) -> None:
        self._ways = ways
        self._several = several

    def __get_pydantic_json_schema__(
        self, _schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        ways = [self._schema_of(way, handler) for way in self._ways]
        if self._several:
            inside = ways[0] if len(ways) == 1 else {"anyOf": [*ways]}
            ways.append({"type": "array", "items": inside, "minItems": 1})
        return ways[0] if len(ways) == 1 else {"anyOf": ways}

    def _schema_of(self, way: Any, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        if isinstance(way, dict):
            return way
        model: type[Model] = way if isinstance(way, type) else way()
        model.model_rebuild()
        return handler(model.__pydantic_core_schema__)


Text = Annotated[str, Field(max_length=LONGEST_TEXT)]
Duration = Annotated[
    float, BeforeValidator(_time(parse_duration, "'20ms' or '1h30m'", DURATION_PATTERN))
]
Range = Annotated[
    DurationRange,
    BeforeValidator(_time(parse_duration_range, "'20ms' or '5ms..20ms'", RANGE_PATTERN)),
]
Texts = Annotated[list[str], Field(max_length=MOST_ITEMS), BeforeValidator(_texts)]
Table = Annotated[dict[str, Any], BeforeValidator(is_table())]
Tables = Annotated[list[dict[str, Any]], Field(max_length=MOST_ITEMS), BeforeValidator(_tables())]
Match = Annotated[dict[str, Any], BeforeValidator(is_table('{ kind = "READ" }'))]
Messages = Annotated[
    list[dict[str, Any]],
    Field(max_length=MOST_ITEMS),
    BeforeValidator(_tables('{ kind = "REPORT", value = 20 }')),
]
Regex = Annotated[Any, BeforeValidator(written(Pattern, type="string", format="regex"))]
Port = Annotated[int, Field(ge=1, le=65535)]


NOT_YET = "part of the format, not supported by this version yet"


class Model(BaseModel):
    """A table. `later` are keys of the format that this version does not support."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, defer_build=True)
    later: ClassVar[tuple[str, ...]] = ()


AnyModel = TypeVar("AnyModel", bound=Model)
BuiltModel = TypeVar("BuiltModel", bound=BaseModel)


def keys_of(model: type[Model]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()]


def misspelled(table: Mapping[str, Any], model: type[Model], names: Sequence[str]) -> bool:
    """Whether one of `names` is probably there, under a key that `model` does not know.

    The unknown key is a problem already; that the right one is missing need not be told.
    """
    known = keys_of(model)
    return any(key not in known and nearest(key, names) for key in table)


def built(model: type[BuiltModel]) -> type[BuiltModel]:
    """`model`, ready to validate. pydantic builds it when it is first asked for something, and takes an
    interrupt meanwhile for an error in it; so that one waits until this is done."""
    handler = signal.getsignal(signal.SIGINT)
    if model.__pydantic_complete__ or not callable(handler):
        return model
    came: list[FrameType | None] = []
    try:
        signal.signal(signal.SIGINT, lambda _number, frame: came.append(frame))
    except ValueError:  # in another thread than the main one, where no interrupt comes
        return model
    try:
        model.model_rebuild(raise_errors=False)
    finally:
        signal.signal(signal.SIGINT, handler)
    if came:
        handler(signal.SIGINT, came[0])
    return model


def check(model: type[AnyModel], table: Any, keys: Keys, problems: Problems) -> AnyModel | None:
    """`table` as a `model`, without the keys that are wrong; these become problems.

    None if nothing can be made of the rest: a key is missing, or it is no table.
    """
    if isinstance(table, dict):
        refused = [key for key in model.later if key in table]
        for key in refused:
            problems.add((*keys, key), NOT_YET, of_key=True)
        table = {key: table[key] for key in table if key not in refused} if refused else table
    try:
        return built(model).model_validate(table)
    except ValidationError as error:
        problems.add_errors(error, keys, {(): keys_of(model)}, table)
        wrong = {detail["loc"][0] for detail in error.errors() if detail["loc"]}
    if not isinstance(table, dict):
        return None
    try:
        return model.model_validate({key: table[key] for key in table if key not in wrong})
    except ValidationError:
        return None
