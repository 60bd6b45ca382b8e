"""The command line: one thin module per command.

A command parses nothing itself (cyclopts does, from its signature), does its work through the other
packages, and returns an exit code. Heavy imports (trio, construct, pydantic, pyroute2) stand inside
the commands, so that ``iotsim --help`` and shell completion are quick.
"""
