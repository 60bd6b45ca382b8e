"""The way of a message: in from a datagram, out to a datagram. Each has exactly one.

Everything here is a plain call made by the pump. A service is one protocol at one port of one fleet;
its `receive` is what the stack calls for a datagram, its `send` the only way by which a device speaks.
So this is the place where a message can be seen, counted, delayed or spoiled, whoever made it. The
`Datagram` that brought a message goes with it, and back with the answer.

The way is chosen when a service is made. The *plain* way leads from the hosts to the codec and back with
nothing between. The *layered* way has one `Layer` or several there, which can keep or pass on whole
datagrams, before they are decoded. The *disturbed* way has impairments and faults between the codec and the
device, in each direction that any is for (`iotsim.simulation.ways`): what is expected is seen on the
link's side of them, rules are on the device's. A service without these does not pay for those of others.

A service is one class, of which each module has the part that is named, and is derived from the one before:

    sending     from a device to the link; what is told of messages is in `iotsim.simulation.telling`
    answering   from a message to its answer: rules, behavior, listeners, faults
    service     from the link to a device: `Service`, which is all of it

`layer` is what may stand between. Services of protocols with sessions are in `iotsim.simulation.sessions`.
"""

from __future__ import annotations

from iotsim.simulation.exchange.answering import REBOOTED
from iotsim.simulation.exchange.layer import Layer
from iotsim.simulation.exchange.service import AWAY, Service

__all__ = ["AWAY", "REBOOTED", "Layer", "Service"]
