"""The codes of requests and responses, and the content formats (RFC 7252, section 12: the registries)."""

from __future__ import annotations

METHODS = {"GET": 1, "POST": 2, "PUT": 3, "DELETE": 4, "FETCH": 5, "PATCH": 6, "IPATCH": 7}
RESPONSES = {
    "CREATED": 0x41,
    "DELETED": 0x42,
    "VALID": 0x43,
    "CHANGED": 0x44,
    "CONTENT": 0x45,
    "CONTINUE": 0x5F,
    "BAD_REQUEST": 0x80,
    "UNAUTHORIZED": 0x81,
    "BAD_OPTION": 0x82,
    "FORBIDDEN": 0x83,
    "NOT_FOUND": 0x84,
    "METHOD_NOT_ALLOWED": 0x85,
    "NOT_ACCEPTABLE": 0x86,
    "REQUEST_ENTITY_INCOMPLETE": 0x88,
    "CONFLICT": 0x89,
    "PRECONDITION_FAILED": 0x8C,
    "REQUEST_ENTITY_TOO_LARGE": 0x8D,
    "UNSUPPORTED_CONTENT_FORMAT": 0x8F,
    "UNPROCESSABLE_ENTITY": 0x96,
    "TOO_MANY_REQUESTS": 0x9D,
    "INTERNAL_SERVER_ERROR": 0xA0,
    "NOT_IMPLEMENTED": 0xA1,
    "BAD_GATEWAY": 0xA2,
    "SERVICE_UNAVAILABLE": 0xA3,
    "GATEWAY_TIMEOUT": 0xA4,
    "PROXYING_NOT_SUPPORTED": 0xA5,
    "HOP_LIMIT_REACHED": 0xA8,
}
ERRORS = tuple(name for name, number in RESPONSES.items() if number >= 0x80)
"""The response codes of a request that was refused (section 5.9.2 and 5.9.3)."""
CODES = {"EMPTY": 0, **METHODS, **RESPONSES}

FORMATS = {
    "text/plain": 0,
    "application/link-format": 40,
    "application/xml": 41,
    "application/octet-stream": 42,
    "application/exi": 47,
    "application/json": 50,
    "application/json-patch+json": 51,
    "application/merge-patch+json": 52,
    "application/cbor": 60,
    "application/cwt": 61,
    "application/senml+json": 110,
    "application/sensml+json": 111,
    "application/senml+cbor": 112,
    "application/sensml+cbor": 113,
    "application/senml-exi": 114,
    "application/senml+xml": 310,
    "application/senml-etch+json": 320,
    "application/senml-etch+cbor": 322,
    "application/vnd.oma.lwm2m+tlv": 11542,
    "application/vnd.oma.lwm2m+json": 11543,
    "application/vnd.oma.lwm2m+cbor": 11544,
}
"""Of the registry of content formats (RFC 7252, section 12.3); others are numbers."""
FORMAT_NAMES = {number: name for name, number in FORMATS.items()}


def code_class(code: str | int) -> int:
    """The class of a code, its first digit (section 3)."""
    return (CODES[code] if isinstance(code, str) else code) >> 5
