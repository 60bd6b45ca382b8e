"""What is simulated, over any link: fleets, hosts, expectations, and the pump that moves their packets.

::

    simulation   fleets, hosts, expectations and pump over one link, whatever the link is
    hosts        the simulated IP hosts and their timers, on a TUN or an Ethernet
    pump         the loop that every packet passes
    exchange     the way of a message: decode, tell, answer, encode; `telling`, what is told of it
    sessions     the same for protocols that have sessions, with these on the way
    raw          the same for devices that say raw bytes
    ports        what sessions open besides the ports of their protocols
    listening    behaviors that wait for a message, before the rules
    requests     what devices have asked, where their rules care for what answers it
    unmatched    messages to which no rule applies
    between      the way from one device to another, which never crosses the link
    ways         how a datagram, in `transit`, passes impairments and faults; `disturbance`, which there are
    faults       what is wrong with devices: at the `reception` of a message, or by `conditions` that last
                 (`absences`, and `rebinding`, another address)
    lives        how devices boot, what they say by themselves, and how they begin anew
    boots        who boots when, a few in each turn, so that not all wait for an answer at once
    timeline     does each step of the scenario in its time; `moments`, what that may come after
    shard        which devices one process simulates, where several share them
    commands     what a running simulation can be told to do, as data
    runtime      what a behavior may ask for
    timers       all that happens later, in one ordered queue
    journal      where events gather on their way to the sinks
    counters     what was counted, as plain data
    census       how many devices are in which state; `answertimes`, how long they take to answer
    lag          how late the simulator itself is
    watchdog     interrupts code of the user's that keeps all devices waiting

It needs an event loop and a link, and neither files nor namespaces nor a gateway's process: those are
`iotsim.run`'s. So a test drives one over a memory link, in virtual time (`iotsim.testing`).

What answers a packet is a chain of plain calls from the pump: link, stack, exchange, rules, stack,
link. There is no task switch on that way and no await. Only what waits is a task: the pump itself and a
behavior's ``run``.

Time is the seconds since the start of the run, from one clock that everything shares.

Alternatives considered
-----------------------
*A memory channel and a task for each device.* It costs two thirds of the rate, 3 KB a device, and
30-50 µs to start each; a million devices would take a minute before the first packet.

*Wrapping the link to capture packets.* The capture is a sink of records like the event log, so that
its cost is a list append on the packet's way, and what is written can be bounded and batched.
"""
