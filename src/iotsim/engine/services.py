"""The way of a message: in from a datagram, out to a datagram. Each has exactly one.

Everything here is a plain call made by the pump. A service is one protocol at one port of one fleet;
its `receive` is what the stack calls for a datagram, its `send` the only way by which a device speaks.
"""

from __future__ import annotations
