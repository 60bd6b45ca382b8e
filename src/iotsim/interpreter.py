"""Another Python process that runs our own code: the command line that starts it.

What a run depends on must be the modules that this process has, whatever lies in the folder where the
user stands and whatever PYTHON* variables say: a ``queue.py`` of theirs is no module of ours. So the
interpreter is started isolated (``-I``), and is given the rest of our path behind its own.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

SEPARATOR = "\x1f"
BOOT = """\
import importlib, sys, typing
root, path, module = sys.argv[1:4]
del sys.argv[1:4]
sys.path += [entry for entry in path.split(chr(31)) if entry not in sys.path]
sys.path.insert(0, root)
import iotsim
del sys.path[0]
importlib.import_module(module).main()
"""
"""`root` comes first for the one import that finds this very iotsim, also where another is installed."""


def command(module: str, *arguments: str, site: bool = True) -> list[str]:
    """The command line of a new interpreter that calls ``main()`` of our `module`.

    Its ``sys.argv`` ends with `arguments`. It finds what this process finds: first the standard
    library and what is installed, last what PYTHONPATH names. Without `site` it is quicker at work, but the
    start-up files of installed packages (``.pth``) are not executed.
    """
    root = str(Path(__file__).parents[1])
    words = [sys.executable, "-I", *_flags()]
    if not site:
        words.append("-S")
    return [*words, "-c", BOOT, root, SEPARATOR.join(_path()), module, *arguments]


def _path() -> list[str]:
    """Our own ``sys.path`` without the current folder, what PYTHONPATH names last."""
    given = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    named = {os.path.abspath(entry) for entry in given if entry}  # noqa: PTH100 - as site has it
    entries = [entry for entry in sys.path if entry]
    return sorted(entries, key=lambda entry: os.path.abspath(entry) in named)  # noqa: PTH100


def _flags() -> list[str]:
    """What the isolation would forget, though it concerns no import's content."""
    flags = ["-X", f"utf8={sys.flags.utf8_mode}"]
    if sys.dont_write_bytecode:
        flags.append("-B")
    if sys.pycache_prefix:
        flags += ["-X", f"pycache_prefix={sys.pycache_prefix}"]
    return flags
