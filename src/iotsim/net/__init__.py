"""Userspace IP hosts, sans I/O: frames in, frames and outcomes out, time as an argument.

`Stack` (stack.py) is all simulated hosts behind one TUN (or memory) link, IPv4 and IPv6 alike::

    stack = Stack(transmit, to_hosts=..., router=..., router6=..., mtu=1500, broadcasts=[...])
    stack.attach(first_address, count, pool)         # once for each block of addresses of a pool
    stack.join(group_address, pool)                  # for each multicast group that it is in
    outcome = stack.receive(frame, now)              # for each frame that the link read
    outcome = stack.receive_from_host(frame, now)    # for each that hosts have sent each other
    sending = stack.send_udp(datagram, data)         # from a handler, or from anywhere
    due = stack.next_due()                           # None: nothing to wait for
    stack.pop_due(now)                               # when `due` has come

`EthernetStack` (ethernet.py) puts the same hosts on an Ethernet (TAP). It has the same methods, and
``announce(now)``, to be called once when the link is up; its ``attach`` also takes the MACs, and
``lease(count, pool, now)`` lets hosts get their addresses by DHCP instead.

A pool of hosts is anything with a dictionary ``ports`` of UDP port -> handler: a fleet. Attach it
once per block of addresses (an IPv4 block, an IPv6 block); a handler is told the index of its host,
whichever address was asked. Per block, ``hops`` puts simulated routers before the hosts, ``path_mtu``
narrows the way to them, and ``silent`` keeps them from refusing anything. ``set_absence`` takes hosts
away and brings them back. A handler gets a `Datagram` (datagram.py), which also tells whether a whole
group was asked, and the payload.

Each frame has exactly one outcome (outcome.py), so received packets equal the sum of the outcomes.
What is sent has left, or waits for a neighbor, or there is a reason (`Sending`, in datagram.py): nothing
stays behind without a word. What is neither is in ``counters``: errors sent and suppressed, datagrams
reassembled and given up, members of a group that were left out, packets that waited for a neighbor
in vain, and so on. All state is bounded: fragments per source and in all, neighbors and what waits
for them, path MTUs, flows, announcements. Of the hosts themselves there is no state at all, but for
those that have a DHCP client.

How it is cut: address_table.py knows whose an address is. stack.py is the short cut of plain datagrams, and
what it does not take goes by the book: ip.py (does it get there, is it whole) with packet.py (is it
well-formed), path_mtu.py, fragmentation.py and segmentation.py; delivery.py (what does its upper layer
want) with icmp.py and multicast.py (and ratelimit.py, how many errors there may be); output.py for the way
down. On an Ethernet: arp.py (ARP), neighbor_discovery.py (neighbor discovery), neighbor_cache.py (their
cache), membership.py (IGMP, MLD), sweep.py (what all hosts of a pool say, one after the other), dhcp.py
(clients) and mac.py.

Alternatives considered
-----------------------
*A socket-like object per host.* A million of them cost gigabytes and a second to make, for state
that a UDP host does not have. A pool is one block of addresses and one dictionary of ports, so a
million hosts cost what ten do, and a datagram reaches its handler by subtraction.

*Addresses on the kernel's loopback, and kernel sockets.* Limited to what one machine lets us add,
and nothing of a device's network behavior (its ICMP, fragments, silence) is ours to script.

*A full stack (lwIP, smoltcp) by foreign functions.* They model one host with few interfaces; the
claim of a whole prefix, faults per device and virtual time would be patches to each of them.

*What hosts send each other, straight to the handler.* It would be quicker, and without ports that are
closed, hops, path MTUs and fragments. So it is a packet like any other, and the caller chooses when it
arrives: a stack that delivered it at once would recurse for as long as two hosts answer each other.

*A neighbor cache per device.* What one device learns of the gateway, every other would learn with
the same question: a thousand devices would ask a thousand times. One cache serves them all.

*Waiting until an address is known to be free.* Seconds at each start, for addresses that a scenario
chose. Devices answer at once, and a conflict is reported.
"""
