"""A server of the user's own: what it prints are lines of JSON, each of which is an event."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from iotsim.northbound.content import NO_JSON, json_of
from iotsim.run.launch import locate, places
from iotsim.run.life import await_port
from iotsim.run.northbound.process import ProcessService
from iotsim.run.northbound.service import let_others_run

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

LONGEST_SHOWN = 1000
TOO_LONG = object()


class CommandService(ProcessService):
    """Each line of its standard output is a JSON object, whose members are the fields of an event.

    Any other line is an event with an ``error``. Its standard error goes into its log. It has started
    once somebody is bound to its port, if it has one.
    """

    separate_errors = True
    _held = b""
    """Of a line that has not ended yet."""

    def words(self) -> tuple[Sequence[str], Mapping[str, str]]:
        expand = self.run.expand
        env = {name: expand(text) for name, text in self.spec.env.items()}
        words = zip(self.spec.command, self.spec.folders, strict=True)
        return [locate(expand(word), places(folder)) for word, folder in words], {
            **os.environ,
            **env,
        }

    async def drain(self) -> None:
        await let_others_run()

    async def await_ready(self) -> None:
        if self.spec.port:
            await await_port(self.run.testbed.init_pid, ("udp", "tcp"), self.spec.port)

    def take(self, chunk: bytes) -> None:
        lines = (self._held + chunk).split(b"\n")
        self._held = lines.pop() if chunk else b""
        if len(self._held) > self.spec.largest:
            lines, self._held = [*lines, self._held], b""  # told as what it is, and forgotten
        for line in lines:
            self._line(line.rstrip(b"\r"))

    def _line(self, line: bytes) -> None:
        if not line:
            return
        fields = json_of(line) if len(line) <= self.spec.largest else TOO_LONG
        if isinstance(fields, dict):
            self.count("lines")
        else:
            what = "JSON, and no object"
            if fields is NO_JSON:
                what = "no JSON"
            elif fields is TOO_LONG:
                what = f"longer than {self.spec.largest} bytes"
            self.count("lines_refused")
            shown = line[:LONGEST_SHOWN].decode("utf-8", "replace")
            fields = {"error": f"a line that is {what}", "line": shown}
        self.run.report(self.spec, fields)
