"""Between CoAP's messages and the operations that they carry (TS Transport, section 6.4)."""

from __future__ import annotations

from typing import Any

from iotsim.protocols.coap.options import escaped
from iotsim.protocols.coap.representation import TEXT, to_bytes

from . import attributes, senml, tlv
from .content import LINKS, OPAQUE, SEVERAL, TLV, KindAt, decode, encode, leaves
from .message import Carrier, Message, Path, RefusedError, path_of, text_of
from .senml import SENML_CBOR, SENML_JSON

COMPOSITE = (SENML_JSON, SENML_CBOR)
OBSERVING = {0: "OBSERVE", 1: "CANCEL_OBSERVE"}


def asked(request: Message, path: Path, kind_at: KindAt) -> Message:
    """The operation that a request asks for. Raises `RefusedError` if it is none, or its body is not."""
    method = request["code"]
    if method == "GET":
        return _get(request, path)
    if method in ("FETCH", "IPATCH"):
        return _composite(request, path, kind_at)
    if method == "PUT":
        return _put(request, path, kind_at)
    if method == "POST":
        return _post(request, path, kind_at)
    if method == "DELETE" and len(path) == 2:
        return _operation("DELETE", path)
    raise RefusedError("METHOD_NOT_ALLOWED")


def _operation(name: str, path: Path, value: Any = None) -> Message:
    return {"operation": name, "path": text_of(path), "value": value}


def _get(request: Message, path: Path) -> Message:
    if not path:
        raise RefusedError("METHOD_NOT_ALLOWED")
    observing = OBSERVING.get(request.get("observe", -1))
    if observing is None and request.get("accept") == LINKS:
        return _operation("DISCOVER", path)
    return _operation(observing or "READ", path)


def _composite(request: Message, path: Path, kind_at: KindAt) -> Message:
    """Read-Composite, Observe-Composite and Write-Composite (TS Core, sections 6.3.9, 6.3.10 and 6.4)."""
    if path:
        raise RefusedError("METHOD_NOT_ALLOWED")
    format_ = request.get("content_format")
    if format_ not in COMPOSITE:
        raise RefusedError("UNSUPPORTED_CONTENT_FORMAT")
    records = senml.read(to_bytes(request["payload"]), format_)
    if not records or not all(name for name, _ in records):
        raise RefusedError("BAD_REQUEST")
    if request["code"] == "IPATCH":
        if any(len(name) < 3 or value is None for name, value in records):
            raise RefusedError("BAD_REQUEST")
        return _operation(
            "WRITE_COMPOSITE", path, {text_of(name): value for name, value in records}
        )
    if any(value is not None for _, value in records):
        raise RefusedError("BAD_REQUEST")
    observing = OBSERVING.get(request.get("observe", -1), "READ")
    return _operation(f"{observing}_COMPOSITE", path, [text_of(name) for name, _ in records])


def _put(request: Message, path: Path, kind_at: KindAt) -> Message:
    if not path:
        raise RefusedError("METHOD_NOT_ALLOWED")
    if "content_format" not in request and request["payload"] == "" and request.get("query"):
        return _operation("WRITE_ATTRIBUTES", path, attributes.read(request["query"]))
    if len(path) < 2:
        raise RefusedError("METHOD_NOT_ALLOWED")
    return _operation("WRITE", path, _body(request, path, kind_at))


def _post(request: Message, path: Path, kind_at: KindAt) -> Message:
    if len(path) == 1:
        return _create(request, path, kind_at)
    if len(path) == 2 or (len(path) == 3 and request.get("content_format") in SEVERAL):
        return _operation("WRITE_UPDATE", path, _body(request, path, kind_at))
    if len(path) == 3:
        return _operation("EXECUTE", path, request["payload"])
    raise RefusedError("METHOD_NOT_ALLOWED")


def _body(request: Message, path: Path, kind_at: KindAt) -> Any:
    return decode(request["payload"], path, request.get("content_format", TEXT), kind_at)


def _create(request: Message, path: Path, kind_at: KindAt) -> Message:
    """The id of the new instance may be in the body, or be the device's to choose: then resources alone."""
    format_ = request.get("content_format")
    if format_ == TLV:
        entries = tlv.read(to_bytes(request["payload"]))
        if [one.kind for one in entries] != [tlv.INSTANCE]:
            return _operation("CREATE", path, decode(request["payload"], (*path, 0), TLV, kind_at))
        path = (*path, entries[0].id)
        return _operation("CREATE", path, decode(request["payload"], path, TLV, kind_at))
    if format_ not in SEVERAL:
        raise RefusedError("UNSUPPORTED_CONTENT_FORMAT")
    instances = decode(request["payload"], path, format_, kind_at)
    if not isinstance(instances, dict) or len(instances) != 1:
        raise RefusedError("BAD_REQUEST")
    ((instance, resources),) = instances.items()
    if not isinstance(resources, dict):
        raise RefusedError("BAD_REQUEST")
    return _operation("CREATE", (*path, int(instance)), resources)


def answer(message: Message, request: Message) -> Carrier:
    """The response to `request` that says `message`: its value in the format that is asked for, else in one
    that it fits. Raises `RefusedError` if there is no such one; ValueError if the value cannot be."""
    code, value = message["code"], message.get("value")
    response: Message = {"code": code}
    path = path_of(message.get("path") or request["path"]) or ()
    if code == "CREATED":
        response["location_path"] = [str(step) for step in path]
    elif code == "CONTENT" and value is not None:
        format_ = request.get("accept") or _format_for(value, path, request)
        response |= {"content_format": format_, "payload": _payload(value, path, format_)}
    elif isinstance(value, (str, bytes)):
        response["payload"] = value  # a diagnostic one
    return Carrier(response, message)


def _format_for(value: Any, path: Path, request: Message) -> str:
    if request["code"] == "FETCH":
        return str(request["content_format"])
    if isinstance(value, dict):
        return TLV
    return OPAQUE if isinstance(value, bytes) else TEXT


def _payload(value: Any, path: Path, format_: Any) -> str | bytes:
    if format_ == LINKS:
        if not isinstance(value, str):
            raise RefusedError("NOT_ACCEPTABLE")
        return value
    if path:
        return encode(value, path, format_)
    if format_ not in COMPOSITE:
        raise RefusedError("NOT_ACCEPTABLE")
    return records(value, format_)


def records(value: Any, format_: str) -> bytes:
    """A table of values by their paths, in SenML."""
    if not isinstance(value, dict):
        raise ValueError(f"{value!r:.60} is no table of values by paths")
    entries = []
    for text, one in value.items():
        path = path_of(text)
        if not path:
            raise ValueError(f"{text!r:.60} is no path")
        entries += list(leaves(one, path))
    return senml.write(entries, (), format_)


def told(response: Message) -> Message:
    """What a server's response says to the device: the path is where a registration stands."""
    location = response.get("location_path")
    return {
        "operation": "RESPONSE",
        "code": response["code"],
        "path": "/" + "/".join(map(escaped, location)) if location else "",
        "value": response.get("payload") or None,
    }
