"""Where a run leaves its results: ``results/NAME/TIME`` below the current folder, or as asked."""

from __future__ import annotations

import re
import time
from pathlib import Path

from iotsim.errors import MachineError

RESULTS = Path("results")
SLUG_CHARACTERS = 60
OWN_FILES = (
    *("result.json", "junit.xml", "events.jsonl", "capture.pcapng", "gateway.log"),
    *("events.shard*.jsonl", "capture.shard*.pcapng"),
)
"""What a run leaves itself, as patterns; not what its gateway leaves in its working folder."""


def make_results_folder(name: str, out: Path | None) -> Path:
    """Make and return the folder, absolute. Two runs never share one that iotsim chose.

    In `out`, the files of an earlier run are removed: they would be taken for those of this one,
    should it be killed. MachineError if the folder cannot be made.
    """
    try:
        if out is not None:
            out.mkdir(parents=True, exist_ok=True)
            for pattern in OWN_FILES:
                for path in out.glob(pattern):
                    path.unlink()
            return out.resolve()
        parent = RESULTS / slug(name)
        parent.mkdir(parents=True, exist_ok=True)
        stamp = time.strftime("%Y-%m-%d_%H-%M-%S")
        for attempt in range(1, 1000):
            folder = parent / (stamp if attempt == 1 else f"{stamp}_{attempt}")
            try:
                folder.mkdir()
            except FileExistsError:
                continue
            return folder.resolve()
    except OSError as error:
        raise MachineError(
            f"the results folder {out or RESULTS} cannot be made: {error.strerror}",
            "choose another one with --out DIR",
        ) from error
    raise MachineError(f"there are 999 results of this second in {parent}", "use --out DIR")


def make_work_folder(results: Path) -> Path:
    """Make and return a fresh folder below `results` for what the gateway writes."""
    attempt = 1
    while True:
        folder = results / ("work" if attempt == 1 else f"work_{attempt}")
        try:
            folder.mkdir()
        except FileExistsError:
            attempt += 1
        else:
            return folder


def slug(name: str) -> str:
    """`name` as the name of a folder: letters, digits, dots, dashes."""
    text = re.sub(r"[^A-Za-z0-9.]+", "-", name).strip("-.").lower()
    return text[:SLUG_CHARACTERS] or "scenario"
