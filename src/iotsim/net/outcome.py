"""Outcomes: what became of a packet, one interned string for each packet that was received.

The part before the dot is the category: ``answered``, ``pending``, ``consumed`` or ``dropped``. An
outcome is made once per reason and then found in a table, so that counting outcomes is counting
objects.
"""

from __future__ import annotations

import functools
import sys

ANSWERED = "answered"
PENDING = "pending"


@functools.cache
def consumed(reason: str) -> str:
    """It was for us, and asks for no answer."""
    return sys.intern(f"consumed.{reason}")


@functools.cache
def dropped(reason: str) -> str:
    """It was malformed, unwanted, or for nobody."""
    return sys.intern(f"dropped.{reason}")
