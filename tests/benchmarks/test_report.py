"""Writing the page of the benchmarks: what was not measured stays."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
WRITE = """
import sys
from pathlib import Path
import report
report.README = Path(sys.argv[1])
results = {"codec": {"us": {"ours": 2.0, "construct, interpreted": 8.0, "construct, compiled": 4.0}}}
found = {"processor": "P", "cores": 2, "kernel": "K", "python": "3", "peers": {}}
report.write(report.markdown(results, found), "")
"""


def test_sections_that_were_not_measured_keep_their_tables(tmp_path: Path) -> None:
    old = (BENCHMARKS / "README.md").read_text()
    page = tmp_path / "README.md"
    page.write_text(old)
    # A process of its own: the modules of the benchmarks have everyday names.
    subprocess.run([sys.executable, "-c", WRITE, page], cwd=BENCHMARKS, check=True)
    new = page.read_text()
    added = set(new.splitlines()) - set(old.splitlines())
    assert "| construct, interpreted | 8.00 | 4.0 |" in added
    assert "| codec, against construct interpreted | 4.00 x |  |" in added
    assert "Measured apart, on 2 cores (P), Linux K, Python 3." in added
    assert len(added) == 6
    titles = [line for line in old.splitlines() if line.startswith("#")]
    assert [line for line in new.splitlines() if line.startswith("#")] == titles
