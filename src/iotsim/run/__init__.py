"""A whole run: one nursery that owns everything alive, from the TUN to the gateway's process.

::

    run          machine, files, nursery, judgement
    preparation  what it has before its event loop: a folder, and processes best made there
    report       what a run says of itself, at its start and at its end
    site         the link, and the testbed behind it
    crew         who simulates: this process alone, or several (`shards`)
    gateway      the gateway, a process for each `life`; `steps`, what a scenario does to it and to others
    launch       who that process is, and what it is given; `output` and `console`, what it prints
    guard        ends a run whose process some code of the user's keeps for itself
    signals      those that end a run; `ending`, when it has come to its end by itself
    doubts       what was lost or late, and which verdicts that puts in doubt
    record       the files that grow; `files`, `segments` (with a bound); `backlog`, what waits to be
                 written, and `scribe`, a process that does; `capturefilter` and `names`, what a capture
                 keeps, and calls its devices
    folder       where results lie, whose it is, and the results that replace each other
    past         results read back; `documents` are made from them, and `html`, the page
    lookup       which results somebody means
    compare      past runs found and compared, each with its `counterparts`; `baseline`, the file
                 that keeps their figures
    history      the runs of a project, in SQLite; `origin`, the commit that a run is of
    failure      what is left of a run that could not go to its end
    job          one scenario file, from its name to its results, whatever goes wrong
    suite        several scenarios in one command, its `suitejobs`: `forkserver` makes their processes,
                 `warmup` what they start from, `running` is one of them, `inside` its way to tell, `judging`
                 what it has proved, `suitefolder` what is left; `selection`, `memory` say which runs are done
    dryrun       one datagram for one device, and what becomes of it
    limit        how long a run may take
    project      the iotsim.toml of the user's
    collector    the garbage collector, told what it is dealing with

The event loop may run on `trio.testing.MockClock` with autojump when the link is the memory link: hours
pass in milliseconds, and exactly. That needs that nothing waits for anything outside of the process, so
the files are then always written in place.

Alternatives considered
-----------------------
*Autojump over a real file descriptor.* The clock would jump past packets that sit in the kernel.
"""
