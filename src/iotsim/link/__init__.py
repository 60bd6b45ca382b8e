"""Links: the attachment of simulated hosts to the network of whoever speaks to them.

A link owns file descriptors and nothing else: it knows neither devices nor protocols. Four kinds:

``tun``       a TUN interface: IP packets to and from a kernel
``tap``       a TAP interface: the same with Ethernet frames
``loopback``  UDP sockets on 127.0.0.0/8: no privilege, no ICMP, IPv4 only
``memory``    two queues in this process, on which virtual time can run

All of them carry *frames*: a ten-byte ``virtio_net_hdr`` and then the packet, as the kernel passes
them through a TUN opened with ``IFF_VNET_HDR``. The header tells whether a checksum has been, or is
still to be, computed; a link that computes none itself sets it so that the other side does.

`base` has their interface, `tuntap` opens those of the kernel's. `listener` is none of these: it hears what
passes an interface of the machine, for those who read along.

Alternatives considered
-----------------------
*Packets without the header, and a flag per link.* Then every layer that looks at a checksum needs
two paths; with the header there is one, and the tests on the memory link run what TUN runs.

*An async ``receive()`` per packet.* A wake-up of the event loop for each packet costs two thirds of
the rate. So links have ``receive_nowait``, which drains up to a bound, and one ``wait_readable``.
"""
