"""The command ``iotsim``."""

from __future__ import annotations

import sys


def main() -> None:
    try:
        from iotsim.cli.app import run_command_line

        code = run_command_line(sys.argv[1:])
    except KeyboardInterrupt:  # while importing
        code = 130
    sys.exit(code)


if __name__ == "__main__":
    main()
