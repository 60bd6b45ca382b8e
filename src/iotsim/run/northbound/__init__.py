"""The gateway's other side in a run: services that listen in the gateway's network.

=============  ===============================================================================
`files`        what is made before there is an event loop: certificates, working folders
`service`      what all services have in common: sockets, stop and start, reports
`http`         HTTP/1.1 over TCP or TLS
`datagrams`    UDP and syslog
`process`      services that are processes
`broker`       MQTT: a broker's process, and a subscriber that watches it
`watcher`      that subscriber
`amqtt`        a broker in Python, where mosquitto is not installed: `amqtt_program`
`command`      servers of the user's own
`resolver`     the name server of ``[link] hosts``
`northbound`   all of them together, as the run sees them; `opening`, opened for it
=============  ===============================================================================

What they receive and answer, as bytes, is `iotsim.northbound`'s.
"""
