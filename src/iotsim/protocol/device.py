"""`this_device`: the device that a message is for, or from, in the expressions of a schema.

A schema whose meaning is another for each device, such as one with a key per device, says so::

    Encrypted(GreedyBytes, mode="CBC", key=this_device.state.key, iv=this_device.data.iv)

The codec hands the device to construct as construct takes everything from outside, by a keyword of
``parse`` and ``build``: a function of the context finds it as ``context._params.device``, and plain
construct can be given one, too: ``schema.parse(data, device=StandIn(state={"key": key}))``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from types import CodeType, FunctionType, MethodType
from typing import TYPE_CHECKING, Any, Protocol

from construct import Construct, ExplicitError, LazyBound
from construct.expr import ExprMixin

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


class Device(Protocol):
    """What a schema can ask of a device.

    ``data`` is its row of the scenario's data file and never changes; ``state`` is what it remembers:
    what the scenario gives it, that row, and what rules and behaviors make of it.
    """

    @property
    def index(self) -> int: ...
    @property
    def name(self) -> str: ...
    @property
    def address(self) -> str: ...
    @property
    def state(self) -> Mapping[str, Any]: ...
    @property
    def data(self) -> Mapping[str, Any]: ...


@dataclass(frozen=True)
class StandIn:
    """A device where there is none: for golden vectors, and for a datagram on the command line."""

    index: int = 0
    name: str = "device[0]"
    address: str = ""
    state: Mapping[str, Any] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)


ATTRIBUTES = ("index", "name", "address", "state", "data")


class DeviceError(ExplicitError):
    """The schema asks of the device what it does not have: no fault of the message's.

    As construct's ExplicitError it is none of those with which an Optional or a Select goes on.
    """


class DeviceExpression(ExprMixin):  # type: ignore[type-arg]
    """``this_device``, or what is below it; called with a context, its value. Raises DeviceError."""

    def __init__(self, steps: tuple[Any, ...] = ()) -> None:
        self._steps = steps

    def __getattr__(self, name: str) -> DeviceExpression:
        if name.startswith("_"):
            raise AttributeError(name)
        if not self._steps and name not in ATTRIBUTES:
            raise AttributeError(f"a device has {', '.join(ATTRIBUTES)}, but no {name!r}")
        return DeviceExpression((*self._steps, name))

    def __getitem__(self, name: Any) -> DeviceExpression:
        return DeviceExpression((*self._steps, name))

    def __call__(self, context: Any, *_: Any) -> Any:
        # The outermost context, and not its _params: construct's own Tunnel makes new ones inside.
        while "_" in context:
            context = context["_"]
        device = context.get("device")
        if device is None:
            raise DeviceError("the device is not known here, but the schema needs it")
        if not self._steps:
            return device
        value = getattr(device, self._steps[0])
        for number, step in enumerate(self._steps[1:], 1):
            try:
                value = value[step]
            except (LookupError, TypeError):
                where = ".".join(map(str, self._steps[:number]))
                raise DeviceError(f"{device.name} has no {step!r} in its {where}") from None
        return value

    def __repr__(self) -> str:
        return ".".join(("this_device", *map(str, self._steps)))

    __str__ = __repr__


this_device = DeviceExpression()


def needs_device(message: Construct[Any, Any]) -> bool:
    """Whether an expression or a function in a schema looks at the device."""
    seen: set[int] = set()
    kept: list[Any] = []  # so that what is made here keeps its id
    waiting: list[Any] = [message]
    while waiting:
        value = waiting.pop()
        if isinstance(value, LazyBound):
            # It may make a new construct each time, with a new one of its kind inside.
            value = value.subconfunc
            if id(getattr(value, "__code__", value)) not in seen:
                waiting.append(value())
        if isinstance(value, MethodType | partial):
            value = value.__func__ if isinstance(value, MethodType) else value.func
        identity = id(getattr(value, "__code__", value))
        if identity in seen:
            continue
        seen.add(identity)
        kept.append(value)
        if isinstance(value, ExprMixin):
            text = repr(value)
            if "this_device" in text or "['_params']" in text:
                return True
        elif isinstance(value, FunctionType):
            if "_params" in _names(value.__code__):
                return True
            waiting += _reached(value)
        elif isinstance(value, Construct):
            waiting += vars(value).values()
        elif isinstance(value, dict):
            waiting += value.values()
        elif isinstance(value, list | tuple):
            waiting += value
    return False


def _names(code: CodeType) -> Iterator[str]:
    """The names that a function, and those inside it, look up."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def _reached(function: FunctionType) -> Iterator[Any]:
    """The functions and expressions that `function` may call."""
    for cell in function.__closure__ or ():
        try:
            inner = cell.cell_contents
        except ValueError:
            continue  # not set yet
        if isinstance(inner, FunctionType | ExprMixin):
            yield inner
    for name in _names(function.__code__):
        inner = function.__globals__.get(name)
        if isinstance(inner, FunctionType | ExprMixin):
            yield inner
