"""Packet headers as bytes and as named tuples: one module per protocol, pure functions, `struct` inside.

`parse_x(data)` returns a header, or raises `PacketError`, whose ``reason`` names the fault in
kebab-case; this is the one exception of the package. What was parsed builds the same bytes, and
what can be built can be parsed. Addresses are integers (`iotsim.wire.address`), also 48-bit ones.

A *frame*, what a link carries, is a 10-byte ``virtio_net_hdr`` and then an IP packet (TUN) or an
Ethernet frame (TAP); see `iotsim.wire.virtio`.

Alternatives considered
-----------------------
construct, the language of the application messages, takes 42 µs for an IPv4 and UDP header, where
struct takes 0.3: these headers are few, fixed, and on the way of every packet. The hot path of
`iotsim.net.stack` goes one step further and unpacks all of a plain UDP packet's headers at once;
everything else that is received goes through the parsers here.
"""
