"""What may stand between the hosts and a service's codec."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from iotsim.net.address_table import PortHandler
    from iotsim.net.datagram import Datagram, Sending


class Layer:
    """What stands between hosts and codec on the layered way; here, it lets everything pass.

    `onward` is the rest of the way. What a layer passes on later, it defers first (`Pump.defer`), and
    settles with the outcome that it then has.
    """

    def receive(self, datagram: Datagram, payload: bytes, onward: PortHandler) -> str:
        """A datagram has come; returns its outcome."""
        return onward(datagram, payload)

    def send(
        self, datagram: Datagram, payload: bytes, onward: Callable[[Datagram, bytes], Sending]
    ) -> Sending:
        """A datagram is to leave."""
        return onward(datagram, payload)
