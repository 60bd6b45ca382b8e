"""What is known of objects: the operations and types of their resources, and what devices have by default.

Objects 0 to 7 are those of TS Core, appendix E; their table follows the registry's version 1.1 of each.
Objects of the IPSO family, 3200 and up, share resources: 5500 and up have one type wherever they stand. What
is not known here is as the model writes it: a number is a number, and what can be written may be.
"""

from __future__ import annotations

from typing import Any, NamedTuple

SECURITY, SERVER, ACCESS_CONTROL, DEVICE, CONNECTIVITY, FIRMWARE, LOCATION, STATISTICS = range(8)
SUPPORTED_BINDING = 16
"""Of the Device object."""
LIFETIME, DISABLE, DISABLE_TIMEOUT, BINDING, UPDATE_TRIGGER = 1, 4, 5, 7, 8
"""Resources of the Server object that a device acts upon."""
MINIMUM_PERIOD, MAXIMUM_PERIOD, MUTE_SEND = 2, 3, 23
EXECUTED = frozenset({(SERVER, DISABLE), (SERVER, UPDATE_TRIGGER)})
"""What a device executes without a rule: object and resource."""
FIRST_IPSO = 3200


class Definition(NamedTuple):
    """Of a resource: which of the operations R, W and E it has, and its type."""

    operations: str
    kind: str
    """"string", "integer", "float", "boolean", "opaque", "time" or "objlink"; "" if that is not known."""


UNKNOWN = Definition("RW", "")
KINDS = {
    "S": "string",
    "I": "integer",
    "F": "float",
    "B": "boolean",
    "O": "opaque",
    "T": "time",
    "L": "objlink",
}


def _read(table: str) -> dict[int, Definition]:
    """``"0,6 RW I"``: of resources, or ranges of them, operations (- for none) and type."""
    found = {}
    for line in filter(None, map(str.strip, table.splitlines())):
        numbers, operations, *kind = line.split()
        definition = Definition(operations.strip("-"), KINDS[kind[0]] if kind else "")
        for part in numbers.split(","):
            first, _, last = part.partition("-")
            for number in range(int(first), int(last or first) + 1):
                found[number] = definition
    return found


RESOURCES: dict[int, dict[int, Definition]] = {
    # The server that a device is with may not see what it is secured by.
    SECURITY: _read("0,9,14 - S\n1 - B\n2,6,10-13,15,16 - I\n3-5,7,8 - O\n17 - L"),
    SERVER: _read(
        """
        0,11 R I
        1-3,5 RW I
        4,8,9 E
        6,21,23 RW B
        7,22 RW S
        10 RW L
        12 R T
        13,14,17-20 - I
        15,16 - B
        """
    ),
    ACCESS_CONTROL: _read("0,1 R I\n2,3 RW I"),
    DEVICE: _read(
        """
        0-3,16-19 R S
        4,5,12 E
        6-11,20,21 R I
        13 RW T
        14,15 RW S
        22 R L
        """
    ),
    CONNECTIVITY: _read("0-3,6,8-11 R I\n4,5,7 R S"),
    FIRMWARE: _read("0 W O\n1 RW S\n2 E\n3,5,8,9 R I\n6,7 R S"),
    LOCATION: _read("0-3,6 R F\n4 R O\n5 R T"),
    STATISTICS: _read("0-5 R I\n6,7 E\n8 RW I"),
}
IPSO = _read(
    """
    5500,5532,5533,5543 R B
    5501,5545-5547,5910,6042,6049 R I
    5502,5550,5551,5850 RW B
    5503,5504,5526,5528,5529,5541,5542,5825-5828,5851,5852,5854,5903,5904 RW I
    5505,5523,5530,5605,5822,5911 E
    5506,5824 RW T
    5507,5521,5524,5525,5531,5536,5537,5544,5548,5650,5821,5900 RW F
    5508-5513,5519,5520,5538,5600-5604,5700,5702-5705,5800-5805,5810-5815,5820,6050 R F
    5517 R O
    5518 R T
    5522 RW O
    5527,5706,5750,5823,5853,5912 RW S
    5701,5751 R S
    5806,5816 W F
    """
)
SINGLE = frozenset({SECURITY, SERVER, DEVICE, CONNECTIVITY, FIRMWARE, LOCATION, STATISTICS})
"""Objects whose instances a server neither creates nor deletes: they are there once, or a bootstrap's."""
MANDATORY = frozenset({(SERVER, 1), (SERVER, 6), (SERVER, 7), (ACCESS_CONTROL, 3), (FIRMWARE, 0)})
"""Of objects 0 to 7, what an instance cannot be without of what a server can write."""
MULTIPLE = frozenset(
    {(SECURITY, 16), (ACCESS_CONTROL, 2), (FIRMWARE, 8)}
    | {(DEVICE, resource) for resource in (6, 7, 8, 11, 22)}
    | {(CONNECTIVITY, resource) for resource in (1, 4, 5, 7)}
)
"""Of objects 0 to 7, what has instances; all else that is known of these has one value."""
ONCE = frozenset({DEVICE, CONNECTIVITY, FIRMWARE, LOCATION, STATISTICS})
"""Objects of which there is one instance, with the id 0."""
TRANSPORTS = "UMHTSN"
"""Of binding modes: UDP, MQTT, HTTP, TCP, SMS, Non-IP; Q stands for a queue (TS Core, section 6.2.1.2)."""
DEFAULTS: dict[int, dict[int, Any]] = {
    SECURITY: {0: "", 1: False, 2: 3, 3: b"", 4: b"", 5: b"", 10: 1},
    SERVER: {0: 1, 5: 86400, 6: True},
    ACCESS_CONTROL: {0: DEVICE, 1: 0, 2: {0: 31}, 3: 1},
    DEVICE: {0: "iotsim", 1: "simulated", 2: "=device.name", 3: "1.0", 11: {0: 0}},
    CONNECTIVITY: {0: 41, 1: {0: 41}, 2: 0, 4: {0: "=device.address"}},
    FIRMWARE: {0: b"", 1: "", 3: 0, 5: 0, 8: {0: 0}, 9: 1},
    LOCATION: {0: 0.0, 1: 0.0, 5: 0},
    STATISTICS: {2: 0, 3: 0},
}
"""What an instance of these has where the model says nothing else."""
ALWAYS = (SECURITY, SERVER, DEVICE)
"""Objects of which every device has an instance 0."""


def is_optional(number: int, resource: int) -> bool:
    """Whether an instance may be without a resource that can be written; False if that is not known."""
    return number in RESOURCES and (number, resource) not in MANDATORY


def is_possible(number: int, resource: int, value: Any) -> bool:
    """Whether a device can live with what a server gives it: no time is negative, and UDP is all it has."""
    if number != SERVER:
        return True
    if resource == BINDING:
        return value in ("U", "UQ")
    return value.__class__ is not int or value >= 0


def is_binding(value: str) -> bool:
    """Whether it names transports, each once, and perhaps a queue."""
    modes = set(value)
    return len(modes) == len(value) and bool(modes - {"Q"}) and modes <= {*TRANSPORTS, "Q"}


def definition_of(number: int, resource: int) -> Definition:
    """What is known of a resource of the object `number`."""
    known = RESOURCES.get(number)
    if known is not None:
        return known.get(resource, UNKNOWN)
    return IPSO.get(resource, UNKNOWN) if number >= FIRST_IPSO else UNKNOWN
