"""Draws docs/terminal.svg: what two real runs print. Call it from the top of a clone, after `make demo`.

.venv/bin/python docs/terminal.py
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

HERE = Path(__file__).parent
IOTSIM = Path(sys.executable).parent / "iotsim"
COLUMNS = 104
PROGRESS = " packets in"
FORGETFUL = "python3 examples/polling_gateway.py --devices 10.77.1.1-10.77.1.13 --rounds 1"


def main() -> None:
    console = Console(record=True, width=COLUMNS, file=open(os.devnull, "w"))  # noqa: PTH123, SIM115
    for command in ("iotsim run quickstart", f"iotsim run quickstart -- {FORGETFUL}"):
        console.print(f"[bold]$ {command}[/]", highlight=False)
        with tempfile.TemporaryDirectory() as out:
            words = command.replace("quickstart", f"quickstart --out {out} --seed 7").split()
            done = subprocess.run(
                [str(IOTSIM), *words[1:]],
                stdout=subprocess.PIPE,
                check=False,
                env={**os.environ, "FORCE_COLOR": "1", "COLUMNS": str(COLUMNS), "TERM": "xterm"},
            )
            text = done.stdout.decode().replace(out, "results/quickstart/2026-01-31_12-00-00")
        lines = text.replace(f"{HERE.parent.resolve()}/", "").splitlines()
        shown = [line for line in lines if PROGRESS not in line]
        console.print(Text.from_ansi("\n".join(shown)), highlight=False)
    svg = console.export_svg(title="iotsim")
    # The picture must not fetch fonts from elsewhere; any monospaced one will do.
    svg = re.sub(r"@font-face \{.*?\}", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<!--.*?-->", "", svg, flags=re.DOTALL)
    (HERE / "terminal.svg").write_text(svg)


if __name__ == "__main__":
    main()
