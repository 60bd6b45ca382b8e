"""`this_device`: the device that a message is for, or from, in the expressions of a schema.

A schema whose meaning is another for each device, such as one with a key per device, says so::

    Encrypted(GreedyBytes, mode="CBC", key=this_device.state.key, iv=this_device.data.iv)

The codec hands the device to construct as construct takes everything from outside, by a keyword of
``parse`` and ``build``: a function of the context finds it as ``context._params.device``, and plain
construct can be given one, too: ``schema.parse(data, device=StandIn(state={"key": key}))``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from construct import ExplicitError
from construct.expr import ExprMixin

if TYPE_CHECKING:
    from collections.abc import Mapping


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
