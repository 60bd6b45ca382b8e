"""Options of ``iotsim run`` that are about several runs: which of them, how often, and until when."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import cyclopts


@cyclopts.Parameter(name="*")
@dataclass(frozen=True)
class SuiteFlags:
    jobs: str | None = None
    """How many scenarios run at a time: a number, or 'auto', two per processor. Default: 1."""

    tag: Annotated[list[str] | None, cyclopts.Parameter(negative=())] = None
    """Only scenarios whose tags are such: 'smoke', 'not slow', 'smoke and not (slow or radio)'. Given several
    times, all must hold."""

    name: Annotated[list[str] | None, cyclopts.Parameter(name=["--name", "-k"], negative=())] = None
    """Only those in whose name, path or parameters these words are: 'alarm', 'alarm and not loss'."""

    shard: str | None = None
    """'2/5': the second of five shares, for as many machines that run one each."""

    failed: Annotated[bool, cyclopts.Parameter(negative=())] = False
    """Only what did not pass last time."""

    repeat: int = 1
    """Run each so many times."""

    until_fail: Annotated[bool, cyclopts.Parameter(negative=())] = False
    """Repeat until one does not pass, without end if there is no --repeat."""

    fail_fast: Annotated[bool, cyclopts.Parameter(negative=())] = False
    """Begin no more runs once one has not passed."""

    list_: Annotated[bool, cyclopts.Parameter(name="--list", negative=())] = False
    """Print what would be run, and run nothing."""


NO_FLAGS = SuiteFlags()
