"""What the harnesses share. A harness is a program ``fuzz_NAME.py`` with a function ``target(data)``,
which must not raise for any bytes, and a function ``seeds()`` of inputs that reach far.

Called by ``fuzz.py``, it hands its target to atheris (libFuzzer), which makes up inputs guided by the
branches that they take. Without atheris it is an ordinary module, and the tests go through its seeds.
"""

from __future__ import annotations

import os
import sys
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

FUZZING = "IOTSIM_FUZZ" in os.environ


def instrumented() -> AbstractContextManager[Any]:
    """A context; what is imported in it tells the fuzzer which way it takes."""
    if not FUZZING:
        return nullcontext()
    import atheris

    context: AbstractContextManager[Any] = atheris.instrument_imports(include=["iotsim"])
    return context


def fuzz(target: Callable[[bytes], None]) -> None:
    """Never returns; the arguments are libFuzzer's."""
    import atheris

    atheris.Setup(sys.argv, target)
    atheris.Fuzz()
