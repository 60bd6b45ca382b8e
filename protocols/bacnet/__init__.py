"""BACnet/IP (ASHRAE 135-2012, annex J): a device with objects, which are read, written and subscribed to.

All numbers are big-endian. A message is one table of the fields of its BVLC (annex J.2), NPDU (clause 6.2),
APDU (clause 20.1) and service (clause 21). Services that a device neither asks for nor executes have
``parameters``, as they are tagged.

A device executes Who-Is, Who-Has (clauses 16.9, 16.10), ReadProperty, ReadPropertyMultiple, WriteProperty,
WritePropertyMultiple (15.5, 15.7, 15.9, 15.10), SubscribeCOV (13.14), TimeSynchronization in both forms
(16.7, 16.8), DeviceCommunicationControl (16.1) and ReinitializeDevice (16.4); it takes requests and gives
responses in segments (5.4), and may be a foreign device of a BBMD (J.5). Other requests are rejected.

Not there: BACnet/IPv6 (annex U), routers and BBMDs, alarms and events, trends, schedules, files, ReadRange,
SubscribeCOVProperty, list elements, creation of objects, and segmented requests of the device's own, or
answers to them.

`enumerations`  names and numbers (clause 21)
`tags`          tags and primitive values (clause 20.2)
`datatypes`     the types of properties (clause 12)
`syntax`        productions: read and written
`codes`         of headers
`services`      the productions of the services (clause 21)
`message`       whole messages: read and written
`schema`        their fields
`model`         what a scenario says of a device
`objects`       its objects (clauses 12 and 19.2)
`segments`      segmentation (clauses 5.3, 5.4)
`cov`           subscriptions (clause 13.1)
`server`        `Bacnet`, the session
`errors`        what a device may refuse a request with
`vectors`       the examples of annex F
`follower`      which message answers which
"""

from __future__ import annotations

from iotsim import Errors, Protocol

from .errors import NAMES, refuse
from .follower import BacnetFollower
from .model import Model
from .schema import MESSAGE, REPEATED
from .server import Bacnet
from .vectors import VECTORS

__all__ = ["PROTOCOL", "VECTORS", "Bacnet"]

PROTOCOL = Protocol(
    name="bacnet",
    message=MESSAGE,
    port=47808,
    echo=["invoke_id", "service", *REPEATED],
    summary="{apdu} {service} {object} {property} {value}",
    description="BACnet/IP: a device with objects",
    session=Bacnet,
    errors=Errors(NAMES, refuse),
    model=Model,
    follower=BacnetFollower,
)
