"""Sessions: what a protocol does between the wire and what a device says.

A plain protocol is a schema: each datagram is a message, each message goes to the device's rules, and
what they reply is a datagram. A protocol with a *session* has more to it: acknowledgements, repetitions,
sequence numbers, tokens, fragments, registrations, and answers out of a *model* of what the device
offers. All of that is one class in the protocol's file, derived from `Session`::

      wire messages                                application messages
    ---- receive() ---->                     ---- deliver() ---->  rules, behavior, respond()
    <------- send() ----        session      <------- reply() ---
    <------- send() ----                     <------ submit() ---  rules with `send`, behaviors

Above and below are mostly messages of the same kind: dicts with the fields of the schema; a protocol may
have a schema of its own for those above. A session hands up what concerns the device, once; it writes what
the wire needs. Every method has a default, and those make a session that changes nothing, so a protocol
overrides only what it is about.

`session`       `Session`, the base class
`host`          what a session stands on: `Host`, its device, and `Peer`, whom a message comes from or goes to
`conversation`  coroutines that no event loop runs: `Ticket`, `Unanswered`
`recent`        `Recent`, the bounded memory
`follower`      `Follower`: what the messages of others are to each other, for who reads a capture
`model`         `Table`, `Value`, `Duration`, `File`: what a scenario says of a device in a protocol
`outline`       the keys of a model, for people

There is one instance for each device and protocol, made when it is first needed, or at the device's boot
if the class has ``run``; a reboot throws it away. It knows no clock, socket or event loop: time is
``self.now``, waiting is ``call_later``, or ``await`` in ``run``, and randomness is ``uniform``. ``run`` is
a coroutine, but nobody's task: timers and messages resume it, so that a device that waits costs a kilobyte,
and the order of events is that of the timers.

This package stands below `iotsim.protocol`, whose `Protocol` names such classes. What carries sessions
out is `iotsim.simulation.sessions`.

Alternatives considered
-----------------------
*A session that is polled* (``receive``, then ``datagrams_to_send``, ``next_event``, ``next_timer``): the
purest, but every protocol then keeps queues, and a round trip is five calls where this is three; with clock
and output given, this is as pure.

*Generators that yield commands*: a generator for each message, and a language of commands to learn.

*A stack of layer objects*: the exchange that all of them share becomes everybody's to clean up.

*A session for each peer*: most state belongs to the device, and peers may be hostile.
"""

from __future__ import annotations

from iotsim.session.conversation import Ticket, Unanswered
from iotsim.session.follower import Endpoint, Follower, Mark, Seen
from iotsim.session.host import Peer
from iotsim.session.model import Duration, File, Table, Value
from iotsim.session.recent import Recent
from iotsim.session.session import Session

__all__ = [
    "Duration",
    "Endpoint",
    "File",
    "Follower",
    "Mark",
    "Peer",
    "Recent",
    "Seen",
    "Session",
    "Table",
    "Ticket",
    "Unanswered",
    "Value",
]
