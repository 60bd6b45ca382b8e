"""The garbage collector, told what it is dealing with."""

from __future__ import annotations

import gc
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

YOUNG_OBJECTS = 50_000
"""A packet leaves some twenty containers, none of them in a cycle, that live until they are encoded.
With Python's own threshold (700) each of them would be looked at several times before that."""


@contextmanager
def settled_memory() -> Iterator[None]:
    """Spare the collector what exists now, for as long as the block lasts.

    Modules, schemas and compiled code are some hundred thousand objects, whose inspection would be a
    pause of tens of milliseconds every few seconds. Garbage in cycles is still collected. Afterwards
    everything is as before, so that what a run leaves behind can go.
    """
    threshold = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, 20, 100)
    try:
        yield
    finally:
        gc.set_threshold(*threshold)
        gc.unfreeze()
