"""Services of protocols that have sessions: the way of a message with one more stop.

::

                   service                      delivery
    link  --- decode ---->           --- deliver() ---->           rules, behavior,
          <-- encode -----  session  <--- reply() ------  device   the session's model
                   sending           <--- submit() -----

A datagram is decoded, seen as a *wire* message, and given to the device's session. What the session hands
up is seen as an *application* message and goes to rules, behavior and model; what they answer goes to the
session, which sends. Mostly both are one and the same dict: then there is one event for both, without a
layer. Otherwise each level has its own.

A service is one class, of which each module has the part that is named, and is derived from the one before:

    lifecycle   how sessions begin, end and are replaced, and what they see besides messages
    sending     from a session to the link, and what is told of that
    delivery    from a session to its device, and back
    service     from the link to a session: `SessionService`, which is all of it

`handling` is what is known of the datagram that is being dealt with; `unsaid`, what a device was to say
with datagrams that were lost.
"""

from __future__ import annotations

from iotsim.simulation.sessions.service import SessionService

__all__ = ["SessionService"]
