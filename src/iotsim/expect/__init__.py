"""Expectations: what a scenario says must happen, judged while it happens.

A `Judge` gives out observers, one per expectation, fleet and direction, that are called with each
decoded message; it decides early whatever can be decided early, the rest at the end, and says for
each failure what was expected, which devices failed, and what came nearest.

Modules: `spec` (the expectations as plain data), `judge` (the face), `watcher` (the state of each
device, the quantifiers), one module per kind: `within`, `invariant` (never, always), `count`,
`rate` (count with per), `gateway`; `slots` (devices as array indexes), `misses` (what came near),
`report` (outcomes, also of several judges that each saw a part of the devices), `text`.

A message costs each expectation that watches its fleet one call: a subscription that leads from the
device to a byte of state, and, while that device is undecided, the compiled matcher. A million
devices cost an expectation some bytes each.

Alternatives considered: expectations as consumers of the event stream, which would be judged late,
after batching, and would pay for building device names and looking them up again; a dictionary of
objects per device, which costs 200 bytes and an allocation where a byte does; asking `explain` of
every message, which costs more than the matching, for text that nearly nobody reads.
"""
