"""The garbage collector, told what it is dealing with."""

from __future__ import annotations

import gc

YOUNG_OBJECTS = 50_000
"""A packet leaves some twenty containers, none of them in a cycle, that live until they are encoded.
With Python's own threshold (700) each of them would be looked at several times before that."""


def settle_memory() -> None:
    """What exists now stays for the whole run: the collector need not look at it ever again.

    Modules, schemas and compiled code are some hundred thousand objects, whose inspection would be a
    pause of tens of milliseconds every few seconds. Garbage in cycles is still collected.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, 20, 100)
