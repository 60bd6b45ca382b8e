"""Measure iotsim beside its yardsticks, in one run, and write the table and the chart.

    bench.py [--quick] [--only SECTION ...]

Sections: rates, latency, codec, schemas, sizes, scale, reports, queues, disturbed, layers. Repeats are
interleaved (A B C A B C), every ratio is taken within one round, and medians are reported: what else
goes on on the machine then hits all alike. A full run takes some minutes; --quick less than one, and
shows its tables without writing them to the repository. With --only, the tables of the other sections
stay as they are. What cannot be measured here is a row that says why.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import report
import sections
from build import BUILD, compile_programs, install_peers, installed

if TYPE_CHECKING:
    from collections.abc import Callable


def main() -> int:
    known: dict[str, Callable[[sections.Bench], dict[str, Any]]] = {
        "rates": sections.rates,
        "latency": sections.latency,
        "codec": sections.codec,
        "schemas": sections.schemas,
        "sizes": sections.sizes,
        "scale": sections.scale,
        "reports": sections.reports,
        "queues": sections.queues,
        "disturbed": sections.disturbed,
        "layers": sections.layers,
    }
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="small counts, nothing written")
    parser.add_argument("--only", nargs="+", choices=known, default=list(known))
    options = parser.parse_args()
    if not installed("cc"):
        print("bench: needs a C compiler (cc) for the load generator", file=sys.stderr)
        return 3
    compile_programs()
    versions = install_peers() if "rates" in options.only else {}
    results: dict[str, Any] = {}
    work = Path(tempfile.mkdtemp(prefix="iotsim-bench-", dir=BUILD))
    try:
        bench = sections.Bench(work, options.quick, versions)
        for name in options.only:
            print(f"== {name}", flush=True)
            began = time.monotonic()
            results[name] = known[name](bench)
            print(f"   {time.monotonic() - began:.1f} s", flush=True)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    texts = report.markdown(results, report.machine(versions))
    print(report.joined(texts))
    if not options.quick:
        report.write(texts, report.chart(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
