"""The userspace IP host, sans I/O: frames in, frames and outcomes out, time as an argument.

`Stack` (stack.py) is all simulated hosts behind one link::

    stack = Stack(link.send_nowait, router=..., mtu=1500)
    stack.attach(first_address, count, fleet)        # fleet.ports: {5600: handler}
    outcome = stack.receive(frame, now)              # for each frame that the link read
    stack.send_udp(source, 5600, peer, port, data)   # from a handler, or from anywhere

A fleet is one run of addresses and one dictionary of ports, so a million hosts cost what ten do,
and a datagram reaches its handler with the host's index, by subtraction. Each frame has exactly one
outcome (outcome.py), so received packets equal the sum of the outcomes counted.

Alternatives considered
-----------------------
*A socket-like object per host.* A million of them cost gigabytes and a second to make, for state
that a UDP host does not have.

*Addresses on the kernel's loopback, and kernel sockets.* Limited to what one machine lets us add,
and nothing of a device's network behavior (its ICMP, fragments, silence) is ours to script.

*A full stack (lwIP, smoltcp) by foreign functions.* They model one host with few interfaces; the
claim of a whole prefix, faults per device and virtual time would be patches to each of them.
"""
