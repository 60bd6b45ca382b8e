"""Trial encoding: finds what is wrong with a message of a scenario before a device sends it.

Which fields a message needs depends on its other fields, by Switch and If and functions of the
schema; the protocol's codec knows best. So each message is encoded as the scenario is loaded. What
is known only in a run is stood in for: an expression by a plausible value of its field's kind, and
so the fields that a reply echoes, unless the rule's ``when`` says what they are.

No message that may be right is to be complained of. Therefore

- what goes wrong at a value that was stood in for is not told;
- if the shape of the message may depend on such a value, all values are tried if they are few (the
  names of an enum, a bool), and that is told which goes wrong with each; else nothing is.
"""

from __future__ import annotations

import itertools
import math
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from iotsim.errors import EncodeError
from iotsim.match import Expression
from iotsim.protocol.device import DeviceError, StandIn
from iotsim.protocol.interpreted import NEEDED
from iotsim.protocol.native import FunctionError
from iotsim.protocol.strict import UnknownFieldError
from iotsim.userfile import in_words
from iotsim.wire.address import format_address

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from iotsim.device.spec import FleetSpec, ServiceSpec
    from iotsim.protocol.device import Device
    from iotsim.protocol.field import Field
    from iotsim.session import Session
    from iotsim.session.model import Cell

MOST_VARIANTS = 256
MOST_FAULTS = 20
_ABSENT: Any = object()


class Fault(NamedTuple):
    """``path`` is that of the field, with numbers for the indexes in arrays."""

    path: str
    message: str


class UnsureError(Exception):
    """What a device remembers at this name is not known before the run."""


class SureState(dict[str, Any]):
    """What a device is sure to remember when it sends: `state`, without `unsure`, or without knowing
    what else, if that is None."""

    def __init__(self, state: Mapping[str, Any], unsure: Collection[str] | None) -> None:
        super().__init__((name, state[name]) for name in state if name not in (unsure or ()))
        self.unsure = unsure

    def __missing__(self, name: str) -> Any:
        if self.unsure is None or name in self.unsure:
            raise UnsureError(name)
        raise KeyError(name)


def device_of(spec: FleetSpec, unsure: Collection[str] | None, index: int = 0) -> StandIn:
    """A device of a fleet, as far as it is known before the run; see `SureState`."""
    data = spec.data[index] if spec.data else {}
    address = format_address(spec.blocks[0].first + index) if spec.blocks else ""
    state = SureState({**spec.state, **data}, unsure)
    return StandIn(index, f"{spec.name}[{index}]", address, state, data)


class _Unsure:
    """A time that is not known before the run: nothing can be made of it."""

    def _unsure(self, *_: object) -> Any:
        raise UnsureError("t")

    __bool__ = __eq__ = __lt__ = __le__ = __gt__ = __ge__ = _unsure
    __str__ = __repr__ = __format__ = _unsure

    def __hash__(self) -> int:
        raise UnsureError("t")


def known_value(device: StandIn, cell: Cell) -> Any:
    """The value that `cell` of a model will have for `device`; None if only a run can tell."""
    if cell.evaluate is None:
        return cell.literal
    with suppress(Exception):  # which a run will tell of, if it comes to that
        value = cell.evaluate(device, _Unsure())  # type: ignore[arg-type]
        return None if isinstance(value, _Unsure) else value
    return None


class Trial:
    """Tries messages of one protocol."""

    def __init__(self, service: ServiceSpec, device: Device | None = None) -> None:
        """`device` is one that sends them, or None if none is known: then messages of which the schema
        asks for it are not tried."""
        self.protocol = service.protocol
        self.schema = self.protocol.said_schema
        self.codec = self.protocol.said_codec
        self.model = service.model
        model_is_known = self.model is not None or self.protocol.model is None
        self.session = self.protocol.session if model_is_known else None
        self.device = device

    def faults(
        self, fields: Mapping[str, Any], request: Mapping[str, Any] | None = None
    ) -> list[Fault]:
        """What is wrong with the message `fields`.

        For a reply, `request` has what is known of the request, as nested dicts of literals.
        """
        if self.device is None and self.codec.needs_device:
            return []
        guesses: dict[str, list[Any]] = {}
        message = {name: self._stand_in(value, name, guesses) for name, value in fields.items()}
        echoed: set[str] = set()
        if request is not None:
            for path in self.protocol.echo:
                if _get(message, path) is _ABSENT:
                    value = _get(request, path)
                    if value is _ABSENT:
                        value = self._guess(path, guesses)
                    if _put(message, path, value):
                        echoed.add(path)
        shaping = [path for path in guesses if self._shapes(path)]
        if math.prod(len(guesses[path]) for path in shaping) > MOST_VARIANTS:
            return []
        if not all(guesses[path] for path in shaping):
            return []  # too many values to try
        found: dict[Fault, None] | None = None
        for values in itertools.product(*(guesses[path] for path in shaping)):
            variant = _copy(message)
            for path, value in zip(shaping, values, strict=True):
                _put(variant, path, value)
            faults = dict.fromkeys(self._attempt(variant, fields, set(guesses), echoed))
            found = faults if found is None else {one: None for one in found if one in faults}
            if not found:
                return []
        return list(found or ())

    def _attempt(
        self,
        message: dict[str, Any],
        fields: Mapping[str, Any],
        guesses: set[str],
        echoed: set[str],
    ) -> Iterator[Fault]:
        """Encode, mend what is wrong, and go on, as long as it is known how."""
        for _ in range(MOST_FAULTS + len(echoed)):
            try:
                if self.session is None:
                    self.codec.encode(message, self.device)
                else:
                    told = self.codec.tell(message, self.device)[1]
                    self._check(self.session, {**message, **told})
            except EncodeError as error:
                path, reason = error.path, error.reason
                unknown = isinstance(error.__cause__, UnknownFieldError)
                if _has_cause(error, UnsureError):
                    return
                if guesses and isinstance(error.__cause__, FunctionError):
                    return  # it may do with the right value
                if isinstance(error.__cause__, DeviceError):
                    yield Fault(path, f"cannot be encoded: {reason}")
                    return
            else:
                return
            if unknown and path in echoed:
                _remove(message, path)
                continue
            if reason == NEEDED:
                if any(path.startswith(f"{guess}.") for guess in guesses):
                    return
                yield Fault(path, f"{self._name(message, path, guesses)} needs the field '{path}'")
                own: dict[str, list[Any]] = {}
                if self._shapes(path) or not _put(message, path, self._guess(path, own)):
                    return
                guesses.add(path)
            elif unknown and _get(fields, path) is not _ABSENT:
                yield Fault(path, reason)
                _remove(message, path)
            else:
                near = any(_overlap(path, guess) for guess in guesses)
                given = bool(path) and _get(fields, path) is not _ABSENT
                if given and not near:
                    yield Fault(path, f"cannot be encoded: {reason}")
                    # What is wrong behind it shows with another value in its place.
                    if not self._shapes(path) and _put(message, path, self._guess(path, {})):
                        guesses.add(path)
                        continue
                elif not guesses:  # a field that is computed of the others, all of which are known
                    which = f"'{path}' " if path else ""
                    yield Fault(path, f"{which}cannot be encoded: {reason}")
                return

    def _check(self, session: type[Session], message: Mapping[str, Any]) -> None:
        try:
            session.check(message, self.model)
        except EncodeError:
            raise
        except Exception as error:
            raise EncodeError(f"{session.__name__}.check() failed: {in_words(error)}") from error

    def _name(self, message: Mapping[str, Any], path: str, guesses: set[str]) -> str:
        """What to call the message that needs the field at `path`: REPORT, or its protocol."""
        field = self.schema.find(path)
        for name, value in message.items():
            enum = self.schema.find(name)
            if enum is None or enum.kind != "enum" or name in guesses or field is None:
                continue
            if any(case.split(" ")[0] == value for case in field.cases):
                return str(value)
        return self.protocol.name

    def _shapes(self, path: str) -> bool:
        """Whether the shape of a message may depend on the value at `path`."""
        shaping = self.schema.mentioned
        if shaping is None:
            return True
        field = self.schema.find(path)
        inner = () if field is None else _below(field.path, self.schema.fields)
        names = [path, *inner]
        return any(name.rpartition(".")[2].removesuffix("[]") in shaping for name in names)

    def _stand_in(self, value: Any, path: str, guesses: dict[str, list[Any]]) -> Any:
        """A copy of `value` with stand-ins for its expressions."""
        if isinstance(value, Expression):
            return self._guess(path, guesses)
        if isinstance(value, dict):
            return {
                name: self._stand_in(item, f"{path}.{name}", guesses)
                for name, item in value.items()
            }
        if isinstance(value, list):
            return [
                self._stand_in(item, f"{path}.{number}", guesses)
                for number, item in enumerate(value)
            ]
        return value

    def _guess(self, path: str, guesses: dict[str, list[Any]]) -> Any:
        """A plausible value of the field at `path`; all that it can have go to `guesses`."""
        field = self.schema.find(path)
        guesses[path] = []
        if field is not None and field.kind == "enum":
            guesses[path] = list(field.names)
        elif field is not None and field.kind == "bool":
            guesses[path] = [False, True]
        return self._plausible(field)

    def _plausible(self, field: Field | None) -> Any:
        if field is None:
            return 0
        if field.kind == "enum":
            return next(iter(field.names), 0)
        if field.kind == "bytes":
            return bytes((field.size or 0) // 8)
        if field.kind == "struct":
            return {
                path.rpartition(".")[2]: self._plausible(self.schema.fields[path])
                for path in _below(field.path, self.schema.fields)
                if path.count(".") == field.path.count(".") + 1 and not path.endswith("[]")
            }
        value = _PLAUSIBLE.get(field.kind, 0)
        return value.copy() if isinstance(value, (dict, list)) else value


_PLAUSIBLE: dict[str, Any] = {
    "int": 0,
    "float": 0.0,
    "bool": False,
    "string": "",
    "flags": {},
    "array": [],
    "none": None,
}


def _has_cause(error: BaseException | None, kind: type[BaseException]) -> bool:
    while error is not None and not isinstance(error, kind):
        error = error.__cause__
    return error is not None


def _below(path: str, paths: Mapping[str, Any]) -> list[str]:
    return [other for other in paths if other.startswith((f"{path}.", f"{path}[]"))]


def _overlap(path: str, other: str) -> bool:
    """Whether one of the two contains the other."""
    return f"{path}.".startswith(f"{other}.") or f"{other}.".startswith(f"{path}.")


def _copy(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _copy(item) for name, item in value.items()}
    return [_copy(item) for item in value] if isinstance(value, list) else value


def _get(value: Any, path: str) -> Any:
    for step in path.split("."):
        if isinstance(value, list) and step.isdigit() and int(step) < len(value):
            value = value[int(step)]
        elif isinstance(value, dict) and step in value:
            value = value[step]
        else:
            return _ABSENT
    return value


def _put(message: dict[str, Any], path: str, value: Any) -> bool:
    """Set the field at `path`; False if there is nothing to set it in."""
    *outer, last = path.split(".")
    owner: Any = message
    for step in outer:
        if isinstance(owner, dict):
            owner = owner.setdefault(step, {})
        elif isinstance(owner, list) and step.isdigit() and int(step) < len(owner):
            owner = owner[int(step)]
    if isinstance(owner, list) and last.isdigit() and int(last) < len(owner):
        owner[int(last)] = value
    elif isinstance(owner, dict) and last:
        owner[last] = value
    else:
        return False
    return True


def _remove(message: dict[str, Any], path: str) -> None:
    outer, _, last = path.rpartition(".")
    owner = _get(message, outer) if outer else message
    if isinstance(owner, dict):
        owner.pop(last, None)
