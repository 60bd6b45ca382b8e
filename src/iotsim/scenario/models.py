"""``[devices.NAME.model]``: what devices offer in their protocols, as those declare it.

With several protocols it has a table for each, by name.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, get_args, get_origin

from pydantic import BaseModel, ValidationError

from iotsim import userfile
from iotsim.errors import ExpressionError
from iotsim.match import compile_expression
from iotsim.match.literal import literal
from iotsim.scenario.csvdata import LARGEST_BYTES
from iotsim.scenario.placeholders import strings
from iotsim.scenario.schema import built
from iotsim.scenario.trial import known_value
from iotsim.session import Table
from iotsim.userfile import UserFileError, in_words

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from iotsim.device.spec import ServiceSpec
    from iotsim.match import Names
    from iotsim.protocol.device import StandIn
    from iotsim.scenario.problems import Problems
    from iotsim.scenario.toml import Keys


MOST_CHECKED = 10_000
"""So many devices of a fleet are looked at one by one."""


class _HintedError(ValueError):
    """A ValueError with a hint, which `Problems.add_errors` shows."""

    def __init__(self, reason: str, hint: str) -> None:
        self.hint = hint
        super().__init__(reason)


@dataclass(frozen=True)
class ValueCompiler:
    """The `iotsim.session.model.Compiler` of a scenario. `names` are those of expressions; `find` tells
    where the file is that a model calls so."""

    names: Names
    find: Callable[[str], Path]

    def literal(self, value: Any) -> Any:
        return literal(value, None)

    def expression(self, text: str) -> Callable[[Any, float], Any]:
        try:
            evaluate = compile_expression(text, self.names, has_message=False).evaluate
        except ExpressionError as error:
            raise _HintedError(str(error), error.hint) from None
        return lambda device, t: evaluate(None, device, t)

    def file(self, name: str) -> bytes:
        try:
            return userfile.read(self.find(name), LARGEST_BYTES)
        except UserFileError as error:
            raise ValueError(str(error)) from None


def build_models(
    raw: Mapping[str, Any],
    services: Sequence[ServiceSpec],
    names: Names,
    keys: Keys,
    problems: Problems,
) -> tuple[ServiceSpec, ...]:
    """The services with what ``model``, the table `raw` at `keys`, says of each."""
    compiler = ValueCompiler(names, lambda name: _find(name, raw, keys, problems))
    if len(services) > 1:
        known = [service.protocol.name for service in services]
        for name in raw:
            if name not in known:
                hint = f"there is {', '.join(known)}"
                message = "with several protocols, a model has a table for each, by name"
                problems.add((*keys, name), message, hint, of_key=True)
    built = []
    for service in services:
        name = service.protocol.name
        place = (*keys, name) if len(services) > 1 else keys
        table = raw.get(name, {}) if len(services) > 1 else raw
        model = service.protocol.model
        if model is not None:
            service = replace(service, model=_validated(model, table, compiler, place, problems))
        elif table:
            problems.add(place, f"the protocol {name} has no model", of_key=True)
        built.append(service)
    if raw and not services:
        problems.add(keys, "'model' is of no use without 'protocol'", of_key=True)
    return tuple(built)


def check_models(
    services: Sequence[ServiceSpec],
    count: int,
    device_of: Callable[[int], StandIn],
    keys: Keys,
    problems: Problems,
) -> None:
    """Tell of the first of `count` devices that cannot be as a model at `keys` has it; `device_of` gives
    what is known of each before the run. Of very many, the first and the last are looked at."""
    for service in services:
        model = service.model
        if not isinstance(model, Table) or type(model).check_device is Table.check_device:
            continue
        for index in dict.fromkeys((*range(min(count, MOST_CHECKED)), count - 1)):
            device = device_of(index)
            try:
                model.check_device(partial(known_value, device))
            except ValueError as error:
                problem = str(error)
            except Exception as error:
                problem = f"check_device() failed: {in_words(error)}"
            else:
                continue
            place = (*keys, service.protocol.name) if len(services) > 1 else keys
            problems.add(place, f"{device.name}: {problem}")
            break


def _find(name: str, raw: Mapping[str, Any], keys: Keys, problems: Problems) -> Path:
    """The file that is called `name` somewhere in `raw`: beside the file that says so, which of several
    is one that it is there for."""
    named = (inner for inner, text in strings(raw) if text == name)
    found = [problems.folder_at((*keys, *inner)) / name for inner in named]
    paths = list(dict.fromkeys(found)) or [problems.folder_at(keys) / name]
    if len(paths) > 1:
        paths.sort(key=lambda path: not os.path.isfile(path))  # noqa: PTH113 - of any text
    return paths[0]


def _validated(
    model: type[BaseModel], table: Any, compiler: ValueCompiler, keys: Keys, problems: Problems
) -> BaseModel | None:
    try:
        return built(model).model_validate(table, context=compiler)
    except ValidationError as error:
        unknown = [tuple(one["loc"][:-1]) for one in error.errors() if one["loc"]]
        known = {path: _keys_at(model, path) for path in unknown}
        problems.add_errors(error, keys, known, table)
        return None


def _keys_at(model: Any, path: Sequence[str | int]) -> list[str]:
    """The keys of the table that stands at `path` in a `model`; [] if they are any."""
    for step in path:
        if _is_table(model):
            field = model.model_fields.get(str(step))
            model = None if field is None else field.annotation
        else:
            model = get_args(model)[-1] if get_origin(model) in (dict, list) else None
        if not _is_table(model):  # perhaps one of several types
            inner = [one for one in get_args(model) if _is_table(one)]
            model = inner[0] if len(inner) == 1 and get_origin(model) not in (dict, list) else model
    if not _is_table(model):
        return []
    return [field.alias or name for name, field in model.model_fields.items()]


def _is_table(model: Any) -> bool:
    return isinstance(model, type) and issubclass(model, BaseModel)
