"""WiZ: lights of Philips and others that speak JSON over UDP, port 38899.

A message is a JSON object. What is asked has a method and its parameters; the answer repeats the method, and
has a result, or an error::

    {"method":"setPilot","params":{"state":true,"dimming":50}}
    {"method":"setPilot","env":"pro","result":{"success":true}}
    {"method":"fly","env":"pro","error":{"code":-32601,"message":"Method not found"}}

To whom has registered, a light pushes its state: ``{"method":"syncPilot","env":"pro","params":{…}}`` to
port 38900. A message may have an ``id``, which the answer repeats, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from iotsim import DecodeError, Errors, Json, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping


def error_reply(error: DecodeError, data: bytes) -> dict[str, Any]:
    """As JSON-RPC 2.0, section 5.1, has it for what is no JSON."""
    return {"env": "pro", "error": {"code": -32700, "message": "Parse error"}}


ERRORS = {
    "PARSE_ERROR": (-32700, "Parse error"),
    "INVALID_REQUEST": (-32600, "Invalid Request"),
    "METHOD_NOT_FOUND": (-32601, "Method not found"),
    "INVALID_PARAMS": (-32602, "Invalid params"),
    "INTERNAL_ERROR": (-32603, "Internal error"),
}
"""Those of JSON-RPC 2.0, section 5.1."""


def refuse(name: str, request: Mapping[str, Any]) -> dict[str, Any] | None:
    code, text = ERRORS[name]
    asked = "method" in request and "result" not in request and "error" not in request
    return {"env": "pro", "error": {"code": code, "message": text}} if asked else None


PROTOCOL = Protocol(
    name="wiz",
    message=Json(),
    port=38899,
    echo=["method", "id"],
    summary="{method} {params}{result}{error}",
    error_reply=error_reply,
    errors=Errors(ERRORS, refuse),
    description="WiZ lights (Philips and others)",
)

VECTORS = [
    (b'{"method":"getPilot","params":{}}', {"method": "getPilot", "params": {}}),
    (
        (
            b'{"method":"getPilot","env":"pro","result":{"mac":"a8bb50000001","rssi":-61,"src":"",'
            b'"state":true,"sceneId":0,"temp":2700,"dimming":100}}'
        ),
        {
            "method": "getPilot",
            "env": "pro",
            "result": {
                "mac": "a8bb50000001",
                "rssi": -61,
                "src": "",
                "state": True,
                "sceneId": 0,
                "temp": 2700,
                "dimming": 100,
            },
        },
    ),
    (
        b'{"method":"setPilot","params":{"r":255,"g":0,"b":51,"dimming":50,"state":true}}',
        {
            "method": "setPilot",
            "params": {"r": 255, "g": 0, "b": 51, "dimming": 50, "state": True},
        },
    ),
    (
        b'{"method":"setPilot","env":"pro","result":{"success":true}}',
        {"method": "setPilot", "env": "pro", "result": {"success": True}},
    ),
    (
        (
            b'{"method":"registration","params":{"phoneMac":"aabbccddeeff","register":true,'
            b'"phoneIp":"10.77.0.1","id":"1"}}'
        ),
        {
            "method": "registration",
            "params": {
                "phoneMac": "aabbccddeeff",
                "register": True,
                "phoneIp": "10.77.0.1",
                "id": "1",
            },
        },
    ),
    (
        b'{"method":"registration","env":"pro","result":{"mac":"a8bb50000001","success":true}}',
        {
            "method": "registration",
            "env": "pro",
            "result": {"mac": "a8bb50000001", "success": True},
        },
    ),
    (
        (
            b'{"method":"getUserConfig","env":"pro","result":{"fadeIn":500,"fadeOut":500,"dftDim":100,'
            b'"pwmRange":[0,100],"whiteRange":[2700,6500],"extRange":[2700,6500]}}'
        ),
        {
            "method": "getUserConfig",
            "env": "pro",
            "result": {
                "fadeIn": 500,
                "fadeOut": 500,
                "dftDim": 100,
                "pwmRange": [0, 100],
                "whiteRange": [2700, 6500],
                "extRange": [2700, 6500],
            },
        },
    ),
    (
        (
            b'{"method":"syncPilot","env":"pro","params":{"mac":"a8bb50000001","rssi":-61,"src":"hb",'
            b'"mqttCd":0,"state":true,"sceneId":12,"speed":100,"dimming":75}}'
        ),
        {
            "method": "syncPilot",
            "env": "pro",
            "params": {
                "mac": "a8bb50000001",
                "rssi": -61,
                "src": "hb",
                "mqttCd": 0,
                "state": True,
                "sceneId": 12,
                "speed": 100,
                "dimming": 75,
            },
        },
    ),
    (
        (
            b'{"method":"firstBeat","env":"pro","params":{"mac":"a8bb50000001","homeId":653906,'
            b'"fwVersion":"1.25.0"}}'
        ),
        {
            "method": "firstBeat",
            "env": "pro",
            "params": {"mac": "a8bb50000001", "homeId": 653906, "fwVersion": "1.25.0"},
        },
    ),
    (
        (
            b'{"method":"getModelConfig","id":7,"env":"pro",'
            b'"error":{"code":-32601,"message":"Method not found"}}'
        ),
        {
            "method": "getModelConfig",
            "id": 7,
            "env": "pro",
            "error": {"code": -32601, "message": "Method not found"},
        },
    ),
    (
        b'{"env":"pro","error":{"code":-32700,"message":"Parse error"}}',
        {"env": "pro", "error": {"code": -32700, "message": "Parse error"}},
    ),
]
