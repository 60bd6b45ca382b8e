"""``[devices.NAME.signals]``: checked by `iotsim.device.spec.SIGNAL_PARAMETERS`."""

from __future__ import annotations

import math
import re
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from iotsim.device.spec import SIGNAL_PARAMETERS, Parameter, SignalSpec
from iotsim.match import RESERVED_NAMES
from iotsim.scenario.csvdata import FileError
from iotsim.scenario.problems import nearest
from iotsim.scenario.schema import DURATION_PATTERN
from iotsim.units import parse_duration, parse_share

if TYPE_CHECKING:
    from collections.abc import Mapping

    from iotsim.scenario.csvdata import Points
    from iotsim.scenario.loading import Loading
    from iotsim.scenario.toml import Keys

MOST_SIGNALS = 1000
UNKNOWN = SignalSpec("constant", MappingProxyType({}))
"""In place of a signal that is wrong, so that nothing is said of who names it."""
_NAME = re.compile(r"[A-Za-z_]\w{0,63}", re.ASCII)


_NUMBER = {"type": "number"}
_TIME = {"type": "string", "pattern": DURATION_PATTERN}
WRITTEN_AS: dict[str, dict[str, Any]] = {
    "number": _NUMBER,
    "positive": {**_NUMBER, "exclusiveMinimum": 0},
    "deviation": {**_NUMBER, "minimum": 0},
    "share": {"anyOf": [{"type": "string"}, {**_NUMBER, "minimum": 0, "maximum": 1}]},
    "duration": _TIME,
    "phase": {"anyOf": [_TIME, {"const": "random"}]},
    "numbers": {"type": "array", "items": _NUMBER, "minItems": 1},
    "boolean": {"type": "boolean"},
    "text": {"type": "string"},
    "file": {"type": "string"},
}
"""How parameters of each type are written, as JSON Schema."""


def signals_schema() -> dict[str, Any]:
    """A table of signals, as JSON Schema."""
    kinds = [
        {
            "type": "object",
            "properties": {
                "kind": {"const": kind},
                **{name: _parameter_schema(one) for name, one in parameters.items()},
            },
            "required": ["kind", *(name for name, one in parameters.items() if one.required)],
            "additionalProperties": False,
        }
        for kind, parameters in SIGNAL_PARAMETERS.items()
    ]
    return {"type": "object", "additionalProperties": {"anyOf": kinds}}


def _parameter_schema(parameter: Parameter) -> dict[str, Any]:
    schema = dict(WRITTEN_AS[parameter.type])
    return {**schema, "description": parameter.doc} if parameter.doc else schema


def build_signals(
    table: Mapping[str, Any], keys: Keys, loading: Loading
) -> Mapping[str, SignalSpec]:
    problems = loading.problems
    signals: dict[str, SignalSpec] = {}
    for name, value in table.items():
        here = (*keys, name)
        if not _NAME.fullmatch(name) or name in RESERVED_NAMES:
            reason = "means something else" if name in RESERVED_NAMES else "is no name"
            problems.add(here, f"'{name[:100]}' {reason} in expressions", of_key=True)
        elif not isinstance(value, dict):
            problems.add(here, "must be a table", 'write { kind = "constant", value = 20 }')
        elif len(signals) >= MOST_SIGNALS:
            problems.add(keys, f"more than {MOST_SIGNALS} signals")
            break
        else:
            signals[name] = _build(value, here, loading) or UNKNOWN
    return MappingProxyType(signals)


def _build(table: Mapping[str, Any], keys: Keys, loading: Loading) -> SignalSpec | None:
    problems = loading.problems
    kind = table.get("kind")
    if kind is None:
        problems.add(keys, "the key 'kind' is missing", f"there is {', '.join(SIGNAL_PARAMETERS)}")
        return None
    if not isinstance(kind, str) or kind not in SIGNAL_PARAMETERS:
        hint = nearest(str(kind), SIGNAL_PARAMETERS)
        problems.add((*keys, "kind"), "no kind of signal", hint)
        return None
    known = SIGNAL_PARAMETERS[kind]
    for name in table:
        if name != "kind" and name not in known:
            hint = nearest(name, ["kind", *known])
            problems.add((*keys, name), f"unknown key of a {kind} signal", hint, of_key=True)
    parameters: dict[str, Any] = {}
    for name, parameter in known.items():
        parameters[name] = parameter.default
        if name in table:
            with problems.at(*keys, name):
                parameters[name] = convert(table[name], parameter)
        elif parameter.required:
            problems.add(keys, f"the key '{name}' is missing")
            return None
    low, high = parameters.get("min"), parameters.get("max")
    if isinstance(low, float) and isinstance(high, float) and low >= high:
        problems.add((*keys, "min"), "min must be less than max")
    points: tuple[tuple[float, float], ...] = ()
    if kind == "csv":
        points = _points(parameters, (*keys, "file"), loading)
    return SignalSpec(kind, MappingProxyType(parameters), points)


def _points(parameters: Mapping[str, Any], keys: Keys, loading: Loading) -> Points:
    name = parameters["file"]
    if not isinstance(name, str):
        return ()  # told already
    path = loading.problems.folder_at(keys) / name
    try:
        return loading.files.points(path, parameters["time"], parameters["column"])
    except FileError as error:
        loading.problems.add_file(keys, name, path, error)
    return ()


def convert(value: Any, parameter: Parameter) -> Any:
    """`value` as the parameter's type has it; ValueError says what it should have been."""
    kind = parameter.type
    if kind in ("number", "positive", "deviation"):
        number = _number(value)
        if kind == "positive" and number <= 0:
            raise ValueError("must be above 0")
        if kind == "deviation" and number < 0:
            raise ValueError("must not be negative")
        return number
    if kind == "share":
        share = parse_share(value) if isinstance(value, str) else _number(value)
        if not 0 <= share <= 1:
            raise ValueError("must be a share such as '30%', or a number from 0 to 1")
        return share
    if kind == "phase" and value == "random":
        return "random"
    if kind in ("duration", "phase"):
        if not isinstance(value, str):
            raise ValueError("must be a text with a unit, such as '20ms' or '1h30m'")
        seconds = parse_duration(value)
        if kind == "duration" and seconds <= 0:
            raise ValueError("must be longer than 0s")
        return seconds
    if kind == "numbers":
        if not isinstance(value, list) or not value:
            raise ValueError("must be a list of numbers")
        return tuple(_number(item) for item in value)
    if kind == "boolean":
        if not isinstance(value, bool):
            raise ValueError("must be true or false")
        return value
    if not isinstance(value, str) or not value:
        raise ValueError("must be a text")
    return value


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError("must be a number")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise ValueError("must be a finite number")
    return number
