"""What every run would do first, done once in the process from which they are forked.

Only code of ours is executed: bundled protocols, and the models of the sections that most scenarios have.
Files of the user's are not touched, since what importing one leaves behind is for those runs alone that name
it.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from iotsim.errors import IotsimError
from iotsim.protocol.registry import bundled_folder, load_file
from iotsim.results.html.data import report_data
from iotsim.results.html.page import render_page
from iotsim.results.html.raw import Sources
from iotsim.results.result import RunResult
from iotsim.results.verdict import Verdict
from iotsim.run.report import versions
from iotsim.scenario import load_text

if TYPE_CHECKING:
    from collections.abc import Collection

    from iotsim.protocol.definition import Protocol

ORDINARY = """
[scenario]
duration = "10s"
[gateway]
command = ["true"]
ready = { delay = "1s" }
[devices.meter]
count = 2
address = "10.77.1.1"
protocol = "sensornet"
[devices.meter.signals]
temperature = { kind = "constant", value = 20 }
[[devices.meter.rules]]
when = { kind = "READ" }
reply = { kind = "REPORT", value = "=temperature" }
[[expect]]
name = "each is read"
each = "meter"
receives = { kind = "READ" }
within = "5s"
"""


def warm_up(protocols: Collection[str]) -> None:
    """Prepare for runs, among whose protocols are those of these names."""
    import encodings.unicode_escape
    import encodings.utf_8_sig  # noqa: F401

    import iotsim.capture.pcapng
    import iotsim.protocol.dissection
    import iotsim.run.past  # noqa: F401

    versions()
    # Of a run that was about nothing: its template is compiled then.
    nothing = RunResult(scenario="", path="", verdict=Verdict.EMPTY, seed=0)
    render_page(report_data(list, nothing, Sources([], lambda _name: None)))
    folder = bundled_folder()
    # What is relative is looked for beside the file: among ours.
    load_text(ORDINARY, folder / "ordinary.toml")
    for name in sorted(protocols):
        for path in (folder / f"{name}.py", folder / name / "__init__.py"):
            if path.is_file():
                with suppress(IotsimError):  # which is for its runs to tell
                    _compile(load_file(path).protocol)


def _compile(protocol: Protocol) -> None:
    """Let everything about `protocol` be there that is made when it is first asked for."""
    for codec in {protocol.codec, protocol.answer_codec, protocol.said_codec}:
        _ = codec.tell, codec.odd_fields
    _ = protocol.odd_fields
