"""Files of the user's: read with bounds, and those that are Python executed, each as a module.

Protocols and behaviors are Python. The module has a name that nothing else has, so that two files
called meter.py do not meet. It is in ``sys.modules`` under that name, where dataclasses and pickle
look it up, until it is forgotten. An ``__init__.py`` makes a package, whose other modules it imports by
relative names. Nothing is written beside the file.
"""

from __future__ import annotations

import inspect
import itertools
import os
import stat
import sys
import traceback
from types import ModuleType
from typing import TYPE_CHECKING

from iotsim.errors import IotsimError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LARGEST_BYTES = 4 << 20
_numbers = itertools.count(1)


class UserFileError(Exception):
    """What a file cannot be used for; ``line`` and ``column`` count from 1, 0 where unknown."""

    def __init__(self, reason: str, line: int = 0, column: int = 0) -> None:
        self.line = line
        self.column = column
        super().__init__(reason)


def read(path: Path, largest: int = LARGEST_BYTES) -> bytes:
    """The content of the regular file at `path`; UserFileError if there is none, or more than `largest`
    bytes. Nothing is waited for: neither a pipe that nobody writes to nor a device."""
    try:
        with open(path, "rb", opener=_open_at_once) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise UserFileError("this is no file")
            content = file.read(largest + 1)  # what the file system says of the size is no promise
    except (FileNotFoundError, NotADirectoryError):
        raise UserFileError("there is no such file") from None
    except IsADirectoryError:
        raise UserFileError("this is no file") from None
    except OSError as error:
        raise UserFileError(f"cannot be read: {error.strerror}") from None
    except ValueError:
        raise UserFileError("there is no such file") from None  # a zero byte in its name
    if content is None:  # a file of the kernel's that has something now and then
        raise UserFileError("this is no file")
    if len(content) > largest:
        raise UserFileError(f"larger than {largest} bytes")
    return content


def _open_at_once(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


def execute(path: Path, source: bytes) -> ModuleType:
    """The module that `source`, the content of the file at `path`, makes; UserFileError if none.

    Whatever the code raises is the user's to mend, but for what ends the process from outside.
    """
    try:
        code = compile(source, str(path), "exec", dont_inherit=True)
    except SyntaxError as error:
        reason = f"SyntaxError: {error.msg}"
        raise UserFileError(reason, error.lineno or 0, error.offset or 0) from None
    except (ValueError, RecursionError, MemoryError) as error:
        raise UserFileError(str(error) or "nested too deeply") from None
    is_package = path.name == "__init__.py"
    stem = path.parent.name if is_package else path.stem
    module = ModuleType(f"iotsim_user_{next(_numbers)}_{stem}")
    module.__file__ = str(path)
    if is_package:
        module.__path__ = [str(path.parent)]
        module.__package__ = module.__name__
    sys.modules[module.__name__] = module
    writes, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        exec(code, vars(module))
    except (Exception, SystemExit) as error:
        forget(module)
        raise UserFileError(in_words(error), _line_in(path, error)) from error
    finally:
        sys.dont_write_bytecode = writes
    return module


def forget(module: ModuleType) -> None:
    """Let go of what `execute` has made, and of the modules that this has imported of its package."""
    inner = f"{module.__name__}."
    for name in [name for name in sys.modules if name.startswith(inner)]:
        del sys.modules[name]
    sys.modules.pop(module.__name__, None)


def in_words(error: BaseException) -> str:
    """What a user's code has raised, in words."""
    if isinstance(error, IotsimError):
        return str(error)  # written for people; its class would tell them nothing
    return "".join(traceback.format_exception_only(error)).strip()


def check_plain(function: Callable[..., object], name: str, why: str) -> None:
    """TypeError if `function`, which is to be called and not awaited, is no plain one: then a call does
    nothing. It says what the function of this `name` is, and `why` that is wrong."""
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        raise TypeError(f"{name} is an 'async def', but {why}")
    if inspect.isgeneratorfunction(function):
        raise TypeError(f"{name} is a generator, but {why}")


def _line_in(path: Path, error: BaseException) -> int:
    """The last line of the file at `path` on the way to `error`."""
    lines = [
        line
        for frame, line in traceback.walk_tb(error.__traceback__)
        if frame.f_code.co_filename == str(path)
    ]
    return lines[-1] if lines else 0
