"""What requests do to the resources of the model, and what the device answers (RFC 7252, section 5.8; RFC
8132, FETCH and PATCH)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .blocks import is_long, is_possible
from .message import BARE, not_understood
from .representation import MERGE_PATCH, decoded, etag_of, is_json, merged, parse, render, to_bytes

if TYPE_CHECKING:
    from .model import Resource
    from .server import Coap

    Message = dict[str, Any]

LINK_FORMAT = "application/link-format"


def refusal_of(message: Message) -> Message | None:
    """The answer to a request that cannot be served, whatever it is for."""
    if "proxy_uri" in message or "proxy_scheme" in message:
        return {"code": "PROXYING_NOT_SUPPORTED"}  # section 5.10.2
    if numbers := not_understood(message):  # section 5.4.1
        return {"code": "BAD_OPTION", "payload": f"option {numbers[0]} is not understood"}
    if message.get("hop_limit") == 0 or not is_possible(message):
        return {"code": "BAD_REQUEST"}  # RFC 8768, section 3; RFC 7959, section 2.2
    return None


def get(session: Coap, message: Message, resource: Resource) -> Message:
    """GET and FETCH of a resource."""
    format_, cell = resource.format, resource.value
    if len(message) > BARE or message["code"] == "FETCH":
        if message["code"] == "FETCH" and not takes(message, resource):
            return {"code": "UNSUPPORTED_CONTENT_FORMAT"}
        wanted = message.get("accept", format_)
        if wanted != format_:
            if wanted not in resource.formats:
                return {"code": "NOT_ACCEPTABLE"}
            format_, cell = wanted, resource.formats[wanted]
    payload = payload_of(session, cell, format_)
    if payload is None:
        return {"code": "NOT_FOUND"}
    answer: Message = {"code": "CONTENT", "content_format": format_, "payload": payload}
    if resource.max_age is not None:
        answer["max_age"] = resource.max_age
    if resource.etag or "etag" in message:
        answer["etag"] = [etag_of(payload, format_)]
        if answer["etag"][0] in message.get("etag", ()):
            del answer["content_format"], answer["payload"]
            answer["code"] = "VALID"  # section 5.9.1.3
    return answer


def payload_of(session: Coap, cell: Any, format_: str | int) -> str | bytes | None:
    """The present value of `cell` in a content format; None if it has none."""
    value = session.read(cell)
    return value if value is None or value.__class__ is str else render(value, format_)


def takes(message: Message, resource: Resource) -> bool:
    """Whether a body in the format of this one can be made of the resource."""
    given = message.get("content_format", resource.format)
    return given == resource.format or given in resource.formats


def change(session: Coap, message: Message, resource: Resource) -> Message:
    """PUT, POST, PATCH, iPATCH and DELETE of a resource."""
    method, cell = message["code"], resource.value
    before = session.read(cell)
    if not cell.writable or (method == "POST" and before is None):
        # What a POST does is the resource's own matter: here, nothing.
        return {"code": "CHANGED" if method == "POST" else "METHOD_NOT_ALLOWED"}
    if method == "DELETE":
        session.write(cell, None)
        session.changed(message["path"])
        return {"code": "DELETED"}
    payload = message["payload"]
    if is_long(payload, session.model.body_limit):
        return {"code": "REQUEST_ENTITY_TOO_LARGE", "size1": session.model.body_limit}
    try:
        if method in ("PATCH", "IPATCH"):
            if message.get("content_format") != MERGE_PATCH or not is_json(resource.format):
                return {"code": "UNSUPPORTED_CONTENT_FORMAT"}
            if before is None:
                return {"code": "NOT_FOUND"}
            value = patched(before, payload)
            if is_long(render(value, resource.format), session.model.body_limit):
                return {"code": "REQUEST_ENTITY_TOO_LARGE", "size1": session.model.body_limit}
        elif not takes(message, resource):
            return {"code": "UNSUPPORTED_CONTENT_FORMAT"}
        else:
            given = message.get("content_format", resource.format)
            if given != resource.format:
                cell = resource.formats[given]
                if not cell.writable:
                    return {"code": "UNSUPPORTED_CONTENT_FORMAT"}
            like = cell.literal if before is None else session.read(cell)
            value = parse(payload, given, like)
    except ValueError as error:
        return {"code": "BAD_REQUEST", "payload": str(error)[:100]}
    session.write(cell, value)
    session.changed(message["path"])
    return {"code": "CREATED" if before is None else "CHANGED"}


def patched(before: Any, payload: Any) -> Any:
    """The value after a merge patch; a text stays one."""
    patch = decoded(to_bytes(payload), MERGE_PATCH)
    if isinstance(before, (str, bytes)):
        return render(merged(decoded(to_bytes(before), MERGE_PATCH), patch), MERGE_PATCH)
    return merged(before, patch)


def holds(session: Coap, message: Message, resource: Resource) -> bool:
    """Whether the conditions of a request do (section 5.10.8): an entity tag is that of any of the
    resource's representations."""
    if "if_match" not in message:
        return "if_none_match" not in message or session.read(resource.value) is None
    if "if_none_match" in message or session.read(resource.value) is None:
        return False
    cells = {resource.format: resource.value, **resource.formats}
    shown = {one: payload_of(session, cell, one) for one, cell in cells.items()}
    tags = {etag_of(payload, one) for one, payload in shown.items() if payload is not None}
    return any(not tag or tag in tags for tag in message["if_match"])


def discover(session: Coap, message: Message) -> Message:
    """The links to the device's resources (RFC 6690)."""
    if message["code"] != "GET":
        return {"code": "METHOD_NOT_ALLOWED"}
    if message.get("accept", LINK_FORMAT) != LINK_FORMAT:
        return {"code": "NOT_ACCEPTABLE"}
    queries, resources = message.get("query", ()), session.model.resources
    links = [
        link.text
        for path, link in session.model.links.items()
        if all(map(link.has, queries)) and exists(session, resources[path])
    ]
    return {"code": "CONTENT", "content_format": LINK_FORMAT, "payload": ",".join(links)}


def exists(session: Coap, resource: Resource) -> bool:
    return "GET" not in resource.methods or session.read(resource.value) is not None
