"""What a scenario says of an LwM2M device, besides what CoAP's model takes."""

from __future__ import annotations

from contextlib import contextmanager
from functools import cached_property
from ipaddress import ip_address
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from iotsim import Duration, Table, Value
from iotsim.protocols import coap

from .content import KINDS, typed
from .message import Path, is_id, text_of
from .objects import (
    ALWAYS,
    BINDING,
    DEFAULTS,
    DEVICE,
    LIFETIME,
    MULTIPLE,
    ONCE,
    RESOURCES,
    SECURITY,
    SERVER,
    SUPPORTED_BINDING,
    TRANSPORTS,
    definition_of,
    is_binding,
    is_possible,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

Cell: TypeAlias = Any
Resources: TypeAlias = dict[int, Cell | dict[int, Cell]]
"""Of an instance: by number the value, or the values by the numbers of resource instances."""
Objects: TypeAlias = dict[int, dict[int, Resources]]

MAX_TRANSMIT_WAIT = 93.0
"""In seconds (RFC 7252, section 4.8.2)."""


def _id(key: Any) -> int:
    if not is_id(str(key)):
        raise ValueError(f"an id is a number from 0 to 65534, not {str(key)[:20]!r}")
    return int(key)


def _server(value: str) -> str:
    if value != "gateway":
        endpoint_of(value)
    return value


def _whole(seconds: float) -> float:
    if seconds % 1:
        raise ValueError("a lifetime has whole seconds")
    return seconds


def endpoint_of(text: str) -> tuple[int, int]:
    """The address and port of ``10.77.0.1:5683`` or ``[fd77::1]:5683``."""
    host, _, port = text.rpartition(":")
    try:
        address = ip_address(host.removeprefix("[").removesuffix("]"))
        if (address.version == 6) == host.startswith("[") and 0 < int(port) < 1 << 16:
            return int(address), int(port)
    except ValueError:
        pass
    raise ValueError('must be "gateway" or an address with a port, as "10.77.0.1:5683"')


Id = Annotated[int, BeforeValidator(_id)]


class Resource(Table):
    """A resource: written without a table it is its ``value``; a table has those of its instances."""

    value: Value | None = None
    instances: dict[Id, Value] | None = None

    @model_validator(mode="before")
    @classmethod
    def _plain(cls, given: Any) -> Any:
        return {"instances": given} if isinstance(given, dict) else {"value": given}

    def check(self, number: int, resource: int) -> None:
        """ValueError if what is known of the resource of the object `number` says that it has no such
        value."""
        definition = definition_of(number, resource)
        if definition.operations == "E":
            raise ValueError("it is executed, and has no value; a rule answers")
        if (number, resource) in MULTIPLE and self.instances is None:
            raise ValueError("it has instances: a table of values by their ids, as { 0 = ... }")
        is_known = resource in RESOURCES.get(number, {})
        if is_known and (number, resource) not in MULTIPLE and self.instances is not None:
            raise ValueError("it has one value, and no instances")
        self.check_values(number, resource, lambda cell: cell.literal)

    def check_values(self, number: int, resource: int, known: Callable[[Cell], Any]) -> None:
        """ValueError if a value of these, as far as they are `known`, is one that there is not."""
        cells = self.cells
        for cell in cells.values() if isinstance(cells, dict) else [cells]:
            value = None if cell is None else known(cell)
            if value is None:
                continue
            value = typed(value, definition_of(number, resource).kind or KINDS.get(type(value), ""))
            if not is_possible(number, resource, value):
                raise ValueError(
                    f"{value!r:.60} cannot be: no time is negative, and UDP is all a device has"
                )
            if (number, resource) == (DEVICE, SUPPORTED_BINDING) and not is_binding(value):
                raise ValueError(
                    f"{value!r:.60} are no binding modes: these are {', '.join(TRANSPORTS)}, "
                    "each once, and Q"
                )

    @property
    def cells(self) -> Cell | dict[int, Cell]:
        return self.value if self.instances is None else self.instances


Instance: TypeAlias = dict[Id, Resource]


def links_of(objects: Iterable[tuple[int, Collection[int]]]) -> list[str]:
    """The paths of objects and their instances, as a registration has them (section 6.2.1)."""
    found = []
    for number, instances in objects:
        if number != SECURITY:
            found += [text_of((number, one)) for one in instances] or [text_of((number,))]
    return found


class Model(coap.Model):
    endpoint: Value = Field("=device.name", validate_default=True, description="its endpoint name")
    server: Annotated[str, AfterValidator(_server)] = Field(
        "gateway", description='where it registers: "gateway" or "ADDRESS:PORT"'
    )
    lifetime: Annotated[Duration, AfterValidator(_whole)] = Field(
        86400.0, description="of its registration, in whole seconds"
    )
    update: Duration | None = Field(
        None, ge=0.1, description="how often it updates that; by default, shortly before its end"
    )
    retry: Duration = Field(
        60.0, ge=0.1, description="until a registration is tried again, at first"
    )
    version: Literal["1.0", "1.1"] = Field("1.1", description="of LwM2M, that it registers with")
    binding: Literal["U", "UQ"] = Field("U", description="UQ: it sleeps when it has been idle")
    awake: Duration = Field(MAX_TRANSMIT_WAIT, description="until it sleeps, with UQ")
    observe: Duration = Field(1.0, ge=0.01, description="how often what is observed is looked at")
    objects: dict[Id, dict[Id, Instance]] = Field({}, description="object, instance, resource")

    @model_validator(mode="before")
    @classmethod
    def _with_defaults(cls, given: Any) -> Any:
        """The instances of objects 0 to 7 have what each of them has to."""
        if not isinstance(given, dict) or not isinstance(given.get("objects", {}), dict):
            return given
        objects = {str(number): {"0": {}} for number in ALWAYS} | given.get("objects", {})
        for number, resources in DEFAULTS.items():
            instances = objects.get(str(number))
            if isinstance(instances, dict):
                objects[str(number)] = {
                    key: {**{str(n): _keyed(one) for n, one in resources.items()}, **instance}
                    if isinstance(instance, dict)
                    else instance
                    for key, instance in instances.items()
                }
        return {**given, "objects": objects}

    @model_validator(mode="after")
    def _fits(self) -> Model:
        if not self.objects[SERVER]:
            raise ValueError(f"/{SERVER}: the device registers with an instance of this object")
        for number, instances in self.objects.items():
            for instance in instances:
                if instance and number in ONCE:
                    raise ValueError(f"/{number}/{instance}: the object has instance 0 alone")
        for path, resource in self._resources:
            with _at(path):
                resource.check(path[0], path[2])
        return self

    @property
    def _resources(self) -> Iterator[tuple[Path, Resource]]:
        for number, instances in self.objects.items():
            for instance, resources in instances.items():
                for one, resource in resources.items():
                    yield (number, instance, one), resource

    def check_device(self, known: Callable[[Cell], Any]) -> None:
        for path, resource in self._computed:
            with _at(path):
                resource.check_values(path[0], path[2], known)

    @cached_property
    def _computed(self) -> list[tuple[Path, Resource]]:
        """Those that have an expression, the values of which are each device's own."""
        found = []
        for path, resource in self._resources:
            cells = resource.cells if isinstance(resource.cells, dict) else {0: resource.cells}
            if any(cell is not None and cell.evaluate is not None for cell in cells.values()):
                found.append((path, resource))
        return found

    @cached_property
    def tree(self) -> Objects:
        """What each device has, before anybody has written to it."""
        tree = {
            number: {
                instance: {one: resource.cells for one, resource in sorted(resources.items())}
                for instance, resources in sorted(instances.items())
            }
            for number, instances in sorted(self.objects.items())
        }
        said = [
            (SERVER, LIFETIME, int(self.lifetime)),
            (SERVER, BINDING, self.binding),
            (DEVICE, SUPPORTED_BINDING, self.binding),
        ]
        for number, one, value in said:
            for instance, resources in tree[number].items():
                cells = resources.get(one, Resource.model_validate(value).cells)
                tree[number][instance] = dict(sorted({**resources, one: cells}.items()))
        return tree

    @cached_property
    def tree_links(self) -> list[str]:
        """What devices register, before anybody has changed it: one list for all of them."""
        return links_of(self.tree.items())


@contextmanager
def _at(path: Path) -> Iterator[None]:
    """Say in a ValueError of which resource it is."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{text_of(path)}: {error}") from None


def _keyed(value: Any) -> Any:
    return {str(key): one for key, one in value.items()} if isinstance(value, dict) else value
