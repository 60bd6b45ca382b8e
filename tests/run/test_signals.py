"""A run that a signal ends tells so, however many more come."""

from __future__ import annotations

import subprocess
import sys

import pytest

ENDS = """
import signal, sys, trio
from iotsim.run.signals import ending_signals, ignore_endings, take_rest

async def main():
    with trio.open_signal_receiver(*ending_signals()) as received:
        for number in (signal.SIGINT, int(sys.argv[1]), signal.SIGHUP):
            signal.raise_signal(number)
        async for number in received:
            break
        signal.raise_signal(signal.SIGTERM)
        await take_rest(received)
    ignore_endings()
    return number

number = trio.run(main)
signal.raise_signal(signal.SIGINT)
print("told", number)
"""


@pytest.mark.parametrize("number", [2, 15])
def test_what_comes_after_the_first_is_not_heeded(number: int) -> None:
    command = ["env", "--default-signal=HUP", sys.executable, "-c", ENDS, str(number)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("told ")
