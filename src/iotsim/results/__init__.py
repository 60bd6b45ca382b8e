"""What a run leaves: its events, its packets, its result.

Everything here makes bytes or plain data; files are opened, appended to and replaced by `iotsim.run`.
`jsonl` and `pcapng` take batches and give whole lines and whole blocks, so that a file that grows
is readable at any moment; `result` and `junit` give whole documents that replace each other.

Modules: `verdict` (what a run comes to, and its exit code), `result` (``result.json``), `jsonl`
(``events.jsonl``), `fold` (the one made of the other), `formats` (the schemas of both), `merge` (files of
shards made one), `context` and `view` (events, read back: around a failure, and as they are asked for),
`pcapng` (``capture.pcapng``), `cases` (a run as test cases), `junit` and `tap` (files of these), `devices`
(``devices.csv``), `html` (``report.html``), `summary` (the end of a run in a terminal), `github` (the same in
GitHub Actions), `suite` and `suiteindex` (what several runs came to), `compare` (what changed from one run to
another), `trends` (what a history of runs tells).

Alternatives considered: junitparser and the like for XML, which let control characters through into
documents that nobody can read back; dpkt, scapy and python-pcapng for the capture, which take 3 to
40 times as long for each packet; one JSON document of all events, which a killed run leaves broken;
a database, which a user cannot read with ``grep``.
"""
