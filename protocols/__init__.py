"""The protocols that come with iotsim: a module or a package each, whose name is that of the protocol.

Scenarios name them. Other protocols import what they build on: ``from iotsim.protocols.coap import Coap``.
"""
