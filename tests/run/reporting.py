"""A scenario in virtual time in which three meters report by themselves."""

from __future__ import annotations

SCENARIO = """
[link]
kind = "memory"

[gateway]
address = "10.77.0.1"
port = 9000

[devices.meter]
count = 3
address = "10.77.1.1"
protocol = "sensornet"

[[devices.meter.rules]]
every = "1s"
send = { kind = "REPORT", device = 1, seq = 1, value = 2 }

[[expect]]
name = "every meter reports"
each = "meter"
sends = { kind = "REPORT" }
within = "3s"
"""
