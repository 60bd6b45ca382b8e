from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

SCRIPT = """
import os, threading
from pathlib import Path
from iotsim.testbed import linux, privileges

def show():
    lines = Path("/proc/thread-self/status").read_text().splitlines()
    found = dict(line.split(":\\t") for line in lines if ":\\t" in line)
    print(*(int(found[key], 16) for key in ("CapEff", "CapPrm", "CapAmb")), found["NoNewPrivs"])

print(privileges.drop_privileges(Path.cwd()))
show()
assert not linux.has_capability(linux.CAP_NET_ADMIN)
thread = threading.Thread(target=show)
thread.start()
thread.join()
stop = threading.Event()
thread = threading.Thread(target=stop.wait)
thread.start()
print(privileges.drop_privileges(Path.cwd()))
stop.set()
"""


def test_all_is_dropped_and_threads_that_come_later_inherit_it(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    nothing = "0 0 0 1"
    assert result.stdout.splitlines() == ["True", nothing, nothing, "False"]
