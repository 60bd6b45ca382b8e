"""The command ``iotsim``."""

from __future__ import annotations

import gc
import sys

EXIT_ERROR = 2
EXIT_INTERRUPTED = 130

if __name__ == "__main__" and not sys.flags.safe_path:
    # `python -m` has put the current folder first, whose files would be taken for modules of ours.
    del sys.path[0]


def main() -> None:
    try:
        from iotsim.cli.streams import open_streams

        outlet = open_streams()
        from iotsim.cli.app import run_command_line

        code = run_command_line(sys.argv[1:])
        sys.stdout.flush()
        if outlet.error:
            print(f"iotsim: standard output is not whole: {outlet.error}", file=sys.stderr)
    except KeyboardInterrupt:  # while importing
        code = EXIT_INTERRUPTED
    except SystemExit as error:
        # Nothing of ours ends in this way, so it is no verdict of ours.
        print(
            f"iotsim: something called exit({error.code!r}) before there was a verdict",
            file=sys.stderr,
        )
        code = EXIT_ERROR
    gc.freeze()  # what is left goes with the process: to look through it once more takes 0.1 s
    sys.exit(code)


if __name__ == "__main__":
    main()
