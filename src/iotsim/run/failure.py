"""What is left of a run that could not go to its end: its results say so, and why.

A run may fail before it has anything to count: this machine has no TUN, a behavior is broken, or
somebody pressed Ctrl-C. CI systems look for the results all the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from iotsim.errors import IotsimError, MachineError, in_one_line
from iotsim.results.verdict import Verdict
from iotsim.testbed.programs import missing_programs

if TYPE_CHECKING:
    from iotsim.results.result import RunResult
    from iotsim.run.folder import ResultsFolder
    from iotsim.scenario.model import Scenario


LESSER_WAY = "or, the lesser way, without TUN: --link loopback (no ICMP, no IPv6, devices in 127/8)"


def sole_cause(error: BaseException) -> BaseException:
    """What went wrong, without the groups that the nurseries it passed have put around it."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def with_lesser_way(error: BaseException, scenario: Scenario) -> BaseException:
    """`error`, naming the loopback link too if it is for want of an interface alone."""
    if missing_programs(scenario.requires):
        return error
    if isinstance(error, MachineError) and error.of_link and scenario.link.kind in ("tun", "tap"):
        return MachineError(error.reason, "\n  ".join(filter(None, (error.fix, LESSER_WAY))))
    return error


def write_failure(results: ResultsFolder, begun: RunResult, error: BaseException) -> None:
    """Let `results` say that the run, which had `begun` so, was ended by `error`."""
    verdict, reason, details = Verdict.ERROR, in_one_line(error), ""
    if isinstance(error, MachineError):
        verdict, reason = Verdict.SKIPPED, error.reason
        details = f"fix: {error.fix}" if error.fix else ""
    elif isinstance(error, KeyboardInterrupt):
        reason = "interrupted by SIGINT"
    elif isinstance(error, IotsimError):
        details = str(error)
    notes = [line.strip() for line in details.splitlines()] if details != reason else []
    results.write(msgspec.structs.replace(begun, verdict=verdict, reason=reason, notes=notes))
