"""Cost per layer, from a sampling profile of a real run.

Started in place of ``iotsim``: sets a timer that counts processor time, runs the command line, and
notes at every tick which file the running Python code is from. Work in C counts for the Python code
that called it. Unlike a tracing profiler it does not make small functions look dear. The timer is
not inherited by the helper process. The result goes to the file that IOTSIM_LAYERS names.
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
LAYERS = (
    ("link", ("iotsim/link/",)),
    ("wire and net", ("iotsim/wire/", "iotsim/net/")),
    ("codec", ("iotsim/protocol/", "<codec", "<protocol", "construct/")),
    ("rules", ("iotsim/device/", "iotsim/match/", "<match", "<expression", "<rules", "<schedule")),
    ("expectations", ("iotsim/expect/", "<expect")),
    ("results", ("iotsim/results/", "iotsim/engine/files.py", "iotsim/engine/record.py")),
    ("pump and events", ("iotsim/engine/", "<services", "<engine")),
    ("trio", ("/trio/", "/outcome/")),
)


def layer_of(file: str) -> str:
    for layer, parts in LAYERS:
        if any(part in file for part in parts):
            return layer
    return "other"


def main() -> int:
    sampled: Counter[str] = Counter()

    def tick(_signal: int, frame: FrameType | None) -> None:
        if frame is not None:
            sampled[frame.f_code.co_filename] += 1

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
        layers: Counter[str] = Counter()
        for file, count in sampled.items():
            layers[layer_of(file)] += count
        files = dict(sampled.most_common(20))
        Path(os.environ["IOTSIM_LAYERS"]).write_text(json.dumps({"layers": layers, "files": files}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
