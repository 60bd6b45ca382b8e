"""The run itself: one nursery that owns everything alive, from the TUN to the gateway's process.

::

    run          a whole run: machine, files, nursery, judgement; report, what it says of itself
    site         the link, and the testbed behind it
    crew         who simulates: this process alone, or several (shards, worker, handover)
    simulation   fleets, hosts, expectations and pump over one link, whatever the link is
    hosts        the simulated IP hosts and their timers, on a TUN or an Ethernet
    pump         the loop that every packet passes
    services     the way of a message: decode, tell, answer, encode
    runtime      what a behavior may ask for
    timers       all that happens later, in one ordered queue
    gateway      the gateway's process, from start to exit
    journal      where events gather; record and files, where they end
    accounts     what was counted (books), and what that puts in doubt
    lag          how late the simulator itself is

What answers a packet is a chain of plain calls from the pump: link, stack, service, rules, stack,
link. There is no task switch on that way and no await. Only what waits is a task: the pump itself,
a behavior's ``run``, the gateway's process, the counters' watch, the progress display.

Time is the seconds since the start of the run, from one clock that everything shares. Over a kernel's
interface it is real time. On the memory link the event loop may run on `trio.testing.MockClock` with
autojump: hours pass in milliseconds, and exactly. That needs that nothing waits for anything outside
the process, so the files are then always written in place.

Alternatives considered
-----------------------
*A memory channel and a task for each device.* It costs two thirds of the rate, 3 KB a device, and
30-50 µs to start each; a million devices would take a minute before the first packet.

*Wrapping the link to capture packets.* The capture is a sink of records like the event log, so that
its cost is a list append on the packet's way, and what is written can be bounded and batched.

*Autojump over a real file descriptor.* The clock would jump past packets that sit in the kernel.
"""
