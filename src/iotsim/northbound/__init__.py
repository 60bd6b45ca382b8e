"""The gateway's other side, sans I/O: what services receive, as fields, and what they answer.

=============  ===============================================================================
`spec`         a service of the scenario, its rules and answers: plain data
`fields`       the fields of what each kind of service receives
`content`      bodies and payloads: texts, JSON, bytes
`rules`        which rule answers, and with what
`http`         one connection of an HTTP/1.1 server, over h11
`syslog`       RFC 5424 and RFC 3164, and their framing on TCP (RFC 6587)
`names`        the answers of a name server, over dnspython
`mosquitto`    the configuration of the broker
=============  ===============================================================================

Bytes go in, fields and bytes come out. Whoever sends may be hostile: each size is bounded, nothing is
raised but what a function says, and what is wrong is named in the field ``error``.

Sockets and processes are in `iotsim.run.northbound`.
"""
