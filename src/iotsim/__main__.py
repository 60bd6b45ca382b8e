"""The command ``iotsim``."""

from __future__ import annotations

import os
import sys


def main() -> None:
    try:
        from iotsim.cli.app import run_command_line

        code = run_command_line(sys.argv[1:])
    except KeyboardInterrupt:  # while importing
        code = 130
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        # Its reader has gone. The interpreter would try once more, and exit with a status of its own.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)


if __name__ == "__main__":
    main()
