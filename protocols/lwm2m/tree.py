"""What a device has: objects, instances, resources (TS Core, section 7), and what servers do to them.

The model's tree is the fleet's. Instances that servers have made, removed, or changed in more than values are
the device's own, and so are the values in them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from iotsim import ExpressionError

from .attributes import text_of as attributes_text
from .content import given, kind_of, typed
from .message import Message, Path, RefusedError, text_of
from .model import links_of
from .objects import (
    EXECUTED,
    MULTIPLE,
    SECURITY,
    SERVER,
    SINGLE,
    UNKNOWN,
    definition_of,
    is_optional,
    is_possible,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .attributes import Attributes
    from .client import Lwm2m
    from .model import Cell

MOST_OWN = 64
"""So many instances of a device may servers have made or changed, and so many instances has a resource."""
MOST_RESOURCES = 256
"""So many resources has an instance that a server makes."""
GONE = object()
"""In the place of a value: the resource is removed."""


class Held:
    """A value of one device's, which a server has made."""

    __slots__ = ("value",)

    writable = True

    def __init__(self, value: Any) -> None:
        self.value = value


Node: TypeAlias = "Cell | Held | dict[int, Cell | Held]"
Instance: TypeAlias = dict[int, Any]


class Tree:
    """That of one device. What cannot be served raises `RefusedError`."""

    __slots__ = ("_own", "_session")

    def __init__(self, session: Lwm2m) -> None:
        self._session = session
        self._own: dict[tuple[int, int], Instance | None] = {}
        """In place of the model's; None for what was removed."""

    # -- what there is -----------------------------------------------------------------------------

    def instances(self, number: int) -> list[int]:
        """Of an object. NOT_FOUND if there is no such one."""
        base = self._session.model.tree.get(number)
        if base is None:
            raise RefusedError("NOT_FOUND")
        if not self._own:
            return list(base)
        own = {path[1]: made for path, made in self._own.items() if path[0] == number}
        return sorted(one for one in base.keys() | own.keys() if own.get(one, base) is not None)

    def instance(self, path: Path) -> Instance:
        """The resources of an instance. NOT_FOUND if there is no such one."""
        number, one = path[:2]
        own = self._own
        found = own[number, one] if (number, one) in own else self._base(number).get(one)
        if found is None:
            raise RefusedError("NOT_FOUND")
        return found

    def node(self, path: Path) -> Node:
        """A resource, or an instance of one. NOT_FOUND if there is no such one."""
        found = self.instance(path).get(path[2])
        if len(path) > 3:
            found = found.get(path[3]) if isinstance(found, dict) else None
        if found is None:
            raise RefusedError("NOT_FOUND")
        return found

    def has(self, path: Path) -> bool:
        try:
            if len(path) == 1:
                self.instances(path[0])
            elif len(path) == 2:
                self.instance(path)
            else:
                self.node(path)
        except RefusedError:
            return False
        return True

    def kind(self, path: Path) -> str:
        """The type of a resource, which need not be there: it is as in another instance of the object
        then. "" if it is not known."""
        known = definition_of(path[0], path[2]).kind
        if known:
            return known
        node: Node = {}
        if self.has(path):
            node = self.node(path)
        else:
            others = self._base(path[0]).values()
            node = next((other[path[2]] for other in others if path[2] in other), node)
        nodes = list(node.values()) if isinstance(node, dict) else [node]
        return kind_of(path, self._raw(nodes[0])) if nodes else ""

    def server_value(self, resource: int) -> Any:
        """A resource of the first instance of the Server object; None if it has none."""
        for one in self.instances(SERVER):
            node = self.instance((SERVER, one)).get(resource)
            return None if node is None else self._value(node, (SERVER, one, resource))
        return None

    def _base(self, number: int) -> dict[int, Instance]:
        found = self._session.model.tree.get(number)
        return {} if found is None else found

    # -- read (section 6.3.1) ----------------------------------------------------------------------

    def read(self, path: Path) -> Any:
        """The value of what is at a path, as in `content`."""
        if path[0] == SECURITY:
            raise RefusedError("UNAUTHORIZED")
        if len(path) == 1:
            return {str(one): self.read((*path, one)) for one in self.instances(path[0])}
        if len(path) == 2:
            resources = self.instance(path).items()
            return {
                str(one): self._value(node, (*path, one))
                for one, node in resources
                if "R" in definition_of(path[0], one).operations
            }
        definition = definition_of(path[0], path[2])
        if "R" not in definition.operations and definition.operations:
            self.instance(path)
            raise RefusedError("METHOD_NOT_ALLOWED")
        return self._value(self.node(path), path)

    def _value(self, node: Node, path: Path) -> Any:
        if isinstance(node, dict):
            return {str(one): self._value(inner, (*path, one)) for one, inner in node.items()}
        value = self._raw(node)
        try:
            return typed(value, kind_of(path, value))
        except ValueError as error:
            raise ExpressionError(str(error), getattr(node, "text", "")) from None

    def _raw(self, node: Any) -> Any:
        return node.value if node.__class__ is Held else self._session.read(node)

    # -- write (section 6.3.3) ---------------------------------------------------------------------

    def write(self, path: Path, value: Any, *, replace: bool) -> None:
        """Write what a server gives, all of it or nothing. ``replace``: an instance has no resources, and
        a resource no instances, but those that are given, as far as that can be (`_plans_of_rest`)."""
        self.write_all([(path, value)], replace=replace)

    def write_all(self, values: list[tuple[Path, Any]], *, replace: bool = False) -> None:
        plans = [plan for path, value in values for plan in self._plans(path, value, replace)]
        made = {path[:2] for path, node, _ in plans if node is None and path[:2] not in self._own}
        if len(self._own) + len(made) > MOST_OWN:
            raise RefusedError("SERVICE_UNAVAILABLE")
        for path, node, value in plans:
            if node.__class__ is Held:
                node.value = value
            elif node is not None:
                self._session.write(node, value)
            else:
                self._put(path, value)

    def _plans(self, path: Path, value: Any, replace: bool) -> Iterator[tuple[Path, Any, Any]]:
        """What is to be written, where, and the node that has it, None if that is to be made. A resource
        whose instances are replaced is made anew: its value is a table then."""
        if path[0] == SECURITY:
            raise RefusedError("UNAUTHORIZED")
        if len(path) == 2:
            self.instance(path)
            if not isinstance(value, dict):
                raise RefusedError("BAD_REQUEST")
            for step, one in value.items():
                yield from self._plans((*path, int(step)), one, replace)
            if replace:
                yield from self._plans_of_rest(path, {int(step) for step in value})
            return
        instance, definition = self.instance(path), definition_of(path[0], path[2])
        node = instance.get(path[2])
        if "W" not in definition.operations:
            raise RefusedError(
                "METHOD_NOT_ALLOWED" if node is not None or definition.operations else "NOT_FOUND"
            )
        if node is None and (definition is UNKNOWN or len(path) > 3):
            raise RefusedError("NOT_FOUND")
        if node is None and (path[0], path[2]) in MULTIPLE:
            node, replace = {}, True
        if len(path) > 3:
            yield from self._plan_instance(path, node, value)
        elif isinstance(node, dict):
            if not isinstance(value, dict) or len(value) > MOST_OWN:
                raise RefusedError("BAD_REQUEST")
            if replace and (not node or node.keys() != {int(step) for step in value}):
                if not all(one.writable for one in node.values()):
                    raise RefusedError("METHOD_NOT_ALLOWED")
                yield path, None, {int(step): self._given(path, one) for step, one in value.items()}
                return
            for step, one in value.items():
                yield from self._plan_instance((*path, int(step)), node, one)
        elif node is not None and not node.writable:
            raise RefusedError("METHOD_NOT_ALLOWED")
        else:
            yield path, node, self._given(path, value)

    def _plans_of_rest(self, path: Path, named: set[int]) -> Iterator[tuple[Path, Any, Any]]:
        """What becomes of the resources that are not `named` when an instance is replaced. Of those that a
        server can write, the optional ones and a server's own are removed, and others as the model says
        again. What is not known to be optional is not; what the device computes, or its state, stays."""
        base = self._base(path[0]).get(path[1]) or {}
        for step, node in self.instance(path).items():
            nodes = node.values() if isinstance(node, dict) else [node]
            is_fixed = not all(one.writable for one in nodes)
            if step in named or is_fixed or "W" not in definition_of(path[0], step).operations:
                continue
            if step not in base or is_optional(path[0], step):
                yield (*path, step), None, GONE
            else:
                yield from self._restored((*path, step), node, base[step])

    def _restored(self, path: Path, node: Any, model: Any) -> Iterator[tuple[Path, Any, Any]]:
        """Of a resource, or one of its instances, that is as in the model again."""
        if not isinstance(model, dict):
            if model.evaluate is None:
                yield path, None if isinstance(node, dict) else node, model.literal
        elif isinstance(node, dict) and node.keys() == model.keys():
            for step, one in node.items():
                yield from self._restored((*path, step), one, model[step])
        else:
            yield path, None, {k: one.literal for k, one in model.items() if one.evaluate is None}

    def _plan_instance(self, path: Path, node: Any, value: Any) -> Iterator[tuple[Path, Any, Any]]:
        """Of one resource instance, which may be made."""
        if not isinstance(node, dict):
            raise RefusedError("NOT_FOUND")
        found = node.get(path[3])
        if found is not None and not found.writable:
            raise RefusedError("METHOD_NOT_ALLOWED")
        if found is None and len(node) >= MOST_OWN:
            raise RefusedError("BAD_REQUEST")
        yield path, found, self._given(path, value)

    def _given(self, path: Path, value: Any) -> Any:
        found = given(value, self.kind(path) or self.kind(path[:3]))
        if not is_possible(path[0], path[2], found):
            raise RefusedError("BAD_REQUEST")
        return found

    def _put(self, path: Path, value: Any) -> None:
        """Make a resource, its instances, or one of them; or remove a resource."""
        instance = self._owned(path[:2])
        if value is GONE:
            del instance[path[2]]
        elif len(path) > 3:
            instance[path[2]] = {**instance[path[2]], path[3]: Held(value)}
        elif isinstance(value, dict):
            instance[path[2]] = {step: Held(one) for step, one in sorted(value.items())}
        else:
            instance[path[2]] = Held(value)

    def _owned(self, path: Path) -> Instance:
        """The resources of an instance, to be changed: the device's own."""
        key = path[0], path[1]
        own = self._own.get(key)
        if own is None:
            own = self._own[key] = dict(self._base(path[0]).get(path[1], {}))
        return own

    # -- create and delete (sections 6.3.7 and 6.3.8) --------------------------------------------------

    def create(self, number: int, instance: int | None, resources: Message) -> Path:
        """Make an instance of an object; its path."""
        there = self.instances(number)
        if number in SINGLE:
            raise RefusedError("METHOD_NOT_ALLOWED")
        one = instance
        if one is None:
            one = next(free for free in range(len(there) + 1) if free not in there)
        if one in there:
            raise RefusedError("BAD_REQUEST")
        if len(resources) > MOST_RESOURCES:
            raise RefusedError("BAD_REQUEST")
        if (number, one) not in self._own and len(self._own) >= MOST_OWN:
            raise RefusedError("SERVICE_UNAVAILABLE")
        path = number, one
        made: Instance = {}
        for step, value in sorted(resources.items(), key=lambda entry: int(entry[0])):
            made[int(step)] = self._made((*path, int(step)), value)
        self._own[path] = made
        return path

    def _made(self, path: Path, value: Any) -> Any:
        if "E" in definition_of(path[0], path[2]).operations:
            raise RefusedError("BAD_REQUEST")
        if not isinstance(value, dict):
            return Held(self._given(path, value))
        if len(value) > MOST_OWN:
            raise RefusedError("BAD_REQUEST")
        return {int(step): Held(self._given(path, one)) for step, one in sorted(value.items())}

    def delete(self, path: Path) -> None:
        self.instance(path)
        if path[0] in SINGLE:
            raise RefusedError("METHOD_NOT_ALLOWED")
        number, one = path
        if one not in self._base(number):
            del self._own[number, one]
        elif (number, one) in self._own or len(self._own) < MOST_OWN:
            self._own[number, one] = None
        else:
            raise RefusedError("SERVICE_UNAVAILABLE")

    # -- links (sections 6.2.1 and 6.3.2) ------------------------------------------------------------

    def links(self) -> list[str]:
        """Objects and instances, as a registration has them."""
        model = self._session.model
        if not self._own:
            return model.tree_links
        return links_of((number, self.instances(number)) for number in model.tree)

    def discover(self, path: Path) -> str:
        """What is at a path, and below, with its attributes; of a resource, with those that hold for it."""
        if path[0] == SECURITY:
            raise RefusedError("UNAUTHORIZED")
        notes = self._session.notes
        if len(path) > 2:
            return self._link(path, notes.over(path))
        paths = (
            [path] if len(path) > 1 else [path, *((*path, one) for one in self.instances(path[0]))]
        )
        found = []
        for one in paths:
            found.append(self._link(one, notes.at(one)))
            if len(one) > 1:
                below = [(*one, step) for step in self._resources(one)]
                found += [self._link(inner, notes.at(inner)) for inner in below]
        return ",".join(found)

    def _link(self, path: Path, attributes: Attributes) -> str:
        several = ""
        if len(path) > 2 and path[0::2] not in EXECUTED:
            node = self.node(path)
            several = f";dim={len(node)}" if isinstance(node, dict) else ""
        return f"<{text_of(path)}>{several}{attributes_text(attributes)}"

    def _resources(self, path: Path) -> list[int]:
        executed = {resource for number, resource in EXECUTED if number == path[0]}
        return sorted(executed.union(self.instance(path)))
