"""The command ``iotsim``."""

from __future__ import annotations

import sys


def main() -> None:
    from iotsim.cli.app import run_command_line

    sys.exit(run_command_line(sys.argv[1:]))


if __name__ == "__main__":
    main()
