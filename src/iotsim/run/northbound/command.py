"""A server of the user's own: what it prints are lines of JSON, each of which is an event."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from iotsim.northbound.content import NO_JSON, json_of
from iotsim.run.gateway import await_port
from iotsim.run.northbound.process import ProcessService
from iotsim.run.northbound.service import let_others_run

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

LONGEST_SHOWN = 1000


class CommandService(ProcessService):
    """Each line of its standard output is a JSON object, whose members are the fields of an event.

    Any other line is an event with an ``error``. Its standard error goes into its log. It has started
    once somebody is bound to its port, if it has one.
    """

    separate_errors = True

    def words(self) -> tuple[Sequence[str], Mapping[str, str]]:
        expand = self.run.expand
        env = {name: expand(text) for name, text in self.spec.env.items()}
        return [expand(word) for word in self.spec.command], {**os.environ, **env}

    async def drain(self) -> None:
        await let_others_run()

    async def await_ready(self) -> None:
        if self.spec.port:
            await await_port(self.run.testbed.init_pid, ("udp", "tcp"), self.spec.port)

    def line(self, text: str) -> None:
        if not text:
            return
        fields = json_of(text.encode())
        if isinstance(fields, dict):
            self.count("lines")
        else:
            what = "no JSON" if fields is NO_JSON else "JSON, and no object"
            self.count("lines_refused")
            fields = {"error": f"a line that is {what}", "line": text[:LONGEST_SHOWN]}
        self.run.report(self.spec, fields)
