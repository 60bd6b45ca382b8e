"""The operations of a server on a device, out of its model (TS Core, sections 6.3 and 6.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from .attributes import LIMITS
from .message import Message, Path, RefusedError, path_of, text_of
from .objects import BINDING, DISABLE, EXECUTED, LIFETIME, SECURITY, SERVER, definition_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from .client import Lwm2m

Serve: TypeAlias = "Callable[[Lwm2m, Path, Any], Message]"


def read(session: Lwm2m, path: Path, value: Any) -> Message:
    return {"code": "CONTENT", "value": session.tree.read(path)}


def read_composite(session: Lwm2m, path: Path, value: list[str]) -> Message:
    found = {}
    for text in value:
        try:
            found[text] = session.tree.read(path_of(text) or ())
        except RefusedError:  # what cannot be read is left out
            continue
    return {"code": "CONTENT", "value": found}


def discover(session: Lwm2m, path: Path, value: Any) -> Message:
    return {"code": "CONTENT", "value": session.tree.discover(path)}


def write(session: Lwm2m, path: Path, value: Any) -> Message:
    session.tree.write(path, value, replace=True)
    return written(session, path)


def write_update(session: Lwm2m, path: Path, value: Any) -> Message:
    session.tree.write(path, value, replace=False)
    return written(session, path)


def write_composite(session: Lwm2m, path: Path, value: dict[str, Any]) -> Message:
    paths = [(path_of(text) or (), one) for text, one in value.items()]
    session.tree.write_all(paths)
    for one, _ in paths:
        written(session, one)
    return {"code": "CHANGED"}


def written(session: Lwm2m, path: Path) -> Message:
    session.changed(text_of(path))
    if path[0] == SERVER and (len(path) < 3 or path[2] in (LIFETIME, BINDING)):
        session.registration.ask("UPDATE")
    return {"code": "CHANGED"}


def write_attributes(session: Lwm2m, path: Path, value: dict[str, float | None]) -> Message:
    if path[0] == SECURITY:
        raise RefusedError("UNAUTHORIZED")
    if not session.tree.has(path):
        raise RefusedError("NOT_FOUND")
    is_numeric = len(path) > 2 and session.tree.kind(path) in ("integer", "float", "time")
    if not is_numeric and any(name in LIMITS for name in value):
        raise RefusedError("BAD_REQUEST")
    session.notes.change(path, value)
    session.changed(text_of(path))
    return {"code": "CHANGED"}


def execute(session: Lwm2m, path: Path, value: Any) -> Message:
    session.tree.instance(path)
    if path[0::2] not in EXECUTED:
        is_known = definition_of(path[0], path[2]).operations == "E" or session.tree.has(path)
        raise RefusedError("METHOD_NOT_ALLOWED" if is_known else "NOT_FOUND")
    if path[2] == DISABLE:
        session.registration.disable()
    else:
        session.registration.ask("UPDATE")
    return {"code": "CHANGED"}


def create(session: Lwm2m, path: Path, value: dict[str, Any]) -> Message:
    made = session.tree.create(path[0], path[1] if len(path) > 1 else None, value)
    session.changed(text_of(made))
    session.registration.ask("UPDATE")
    return {"code": "CREATED", "path": text_of(made)}


def delete(session: Lwm2m, path: Path, value: Any) -> Message:
    session.tree.delete(path)
    session.notes.forget(path)
    session.changed(text_of(path))
    session.registration.ask("UPDATE")
    return {"code": "DELETED"}


SERVED: dict[str, Serve] = {
    "READ": read,
    "OBSERVE": read,
    "CANCEL_OBSERVE": read,
    "DISCOVER": discover,
    "WRITE": write,
    "WRITE_UPDATE": write_update,
    "WRITE_ATTRIBUTES": write_attributes,
    "EXECUTE": execute,
    "CREATE": create,
    "DELETE": delete,
    "READ_COMPOSITE": read_composite,
    "OBSERVE_COMPOSITE": read_composite,
    "CANCEL_OBSERVE_COMPOSITE": read_composite,
    "WRITE_COMPOSITE": write_composite,
}
