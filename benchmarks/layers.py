"""Cost per layer, from a sampling profile of a real run.

Started in place of ``iotsim``: sets a timer that counts processor time, runs the command line, and
at every tick looks for the innermost frame that is in code of ours; what that code calls elsewhere,
in C or in a library, counts as its own. Only ticks inside of the packet pump count, not the start
and the end of the run. Unlike a tracing profiler this does not make small functions look dear. The
timer is not inherited by the helper process. The result goes to the file that IOTSIM_LAYERS names.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType

TICK_S = 0.001

# The first that is part of the file's name. Generated code has a name of its own in <...>.
RECORDING = "backlog", "files", "record", "scribe"
LAYERS = (
    ("link", ("iotsim/link/",)),
    ("wire and net", ("iotsim/wire/", "iotsim/net/")),
    ("codec", ("iotsim/protocol/", "<codec")),
    ("rules", ("iotsim/device/", "iotsim/match/", "<match", "<expression", "<rules", "<schedule")),
    ("expectations", ("iotsim/expect/", "<expect")),
    (
        "records",
        ("iotsim/results/", *(f"iotsim/run/{name}.py" for name in RECORDING)),
    ),
    ("pump and events", ("iotsim/simulation/", "iotsim/run/")),
)
PUMP = "iotsim/simulation/pump.py"


def layer_of(file: str) -> str:
    for layer, parts in LAYERS:
        if any(part in file for part in parts):
            return layer
    return ""


def layer_of_stack(frame: FrameType | None) -> str:
    """The innermost layer of a stack, "" outside of the pump."""
    found = ""
    while frame is not None:
        file = frame.f_code.co_filename
        found = found or layer_of(file)
        if file.endswith(PUMP):
            return found
        frame = frame.f_back
    return ""


def main() -> int:
    sampled: Counter[str] = Counter()

    def tick(_signal: int, frame: FrameType | None) -> None:
        if layer := layer_of_stack(frame):
            sampled[layer] += 1

    from iotsim.__main__ import main as command

    signal.signal(signal.SIGPROF, tick)
    signal.setitimer(signal.ITIMER_PROF, TICK_S, TICK_S)
    sys.argv[0] = "iotsim"
    try:
        command()
    except SystemExit as end:
        return int(end.code or 0)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        Path(os.environ["IOTSIM_LAYERS"]).write_text(json.dumps({"layers": sampled}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
