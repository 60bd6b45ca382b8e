"""Expectations: what a scenario says must happen, judged while it happens.

A `Judge` gives out observers, a live list for each fleet and direction, that are called with each
decoded message; it decides early whatever can be decided early, the rest at the end, and says for
each failure what was expected, which devices failed, and what came nearest.

Modules: `spec` (the expectations as plain data), `judge` (the face), `kinds` (the table of kinds) with
one module per kind: `within`, `invariant` (never, always), `count`, `rate` (count with per),
`sequence`, `latency`, `delivered`; `northbound` (the gateway's other side), `join` (what of it belongs
to what a device sent), `pairing` (what answers what);
`watcher` (what these have in common: the state of each device, the quantifiers), `subscription`
(what a watcher wants to be told of, and the index), `slots` (devices as array indexes), `heard`
(what devices heard), `losses` (what was lost before a session had it), `instead` (what came
instead), `gateway` (the gateway's own process, with `figures` of what it uses, their `bounds`, and
reports of a `sanitizer`), `lapses` (what puts a verdict in doubt), `standing` (how far all are
meanwhile), `report` (outcomes, also of several judges that each saw a part of the devices), `text`.

A message costs all expectations that watch its fleet one look-up, and those that ask for it a call
each: a subscription that leads from the device to a byte of state, and, while that device is
undecided, the matcher's code. A million devices cost an expectation some bytes each.

Alternatives considered: expectations as consumers of the event stream, which would be judged late,
after batching, and would pay for building device names and looking them up again; a dictionary of
objects per device, which costs 200 bytes and an allocation where a byte does; asking `explain` of
every message, which costs more than the matching, for text that nearly nobody reads; an
index by several fields, or by device, which pays only where many expectations ask for the same kind.
"""
