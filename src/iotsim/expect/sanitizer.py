"""The reports of sanitizers, by the lines that begin or sum up one.

Of AddressSanitizer, LeakSanitizer, MemorySanitizer, ThreadSanitizer, UndefinedBehaviorSanitizer and their
kin (compiler-rt, sanitizer_common; gcc's have the same), of the race detector of Go, and of valgrind's
memcheck, helgrind and DRD (their manual, "Explanation of error messages").
"""

from __future__ import annotations

from functools import cache

from iotsim.match.pattern import Pattern

_VALGRIND = (
    r"Invalid (read|write) of size \d",
    r"Invalid free\(\)",
    r"Mismatched (free\(\)|new)",
    r"Mismatched \S+ size",
    r"Conditional jump or move depends on uninitialised value",
    r"Use of uninitialised value",
    r"Syscall param .* (uninitialised|unaddressable)",
    r"Source and destination overlap",
    r"Argument '.*' of function .* has a fishy",
    r"Jump to the invalid address",
    r"Process terminating with default action of signal \d+ \(SIG(SEGV|BUS|ILL|FPE|ABRT)\)",
    r"Possible data race during",
    r"Conflicting (load|store) by thread",
    r"Thread #\d+.*: lock order .* violated",
    r"Thread #\d+.* unlocked ",
    r"[0-9,]+ (\([^)]*\) )?bytes in [0-9,]+ blocks? (is|are) definitely lost",
    r" +definitely lost: [1-9]",
    r"ERROR SUMMARY: [1-9]",
)


@cache
def _patterns() -> tuple[Pattern, ...]:
    """Compiled only where a scenario asks for them."""
    return (
        Pattern(r"==\d+== ?(ERROR|WARNING): \w+Sanitizer: "),
        Pattern(r"(WARNING|FATAL|ERROR|SUMMARY): \w+Sanitizer: "),
        Pattern(r"\w+Sanitizer:DEADLYSIGNAL"),
        Pattern(r"^WARNING: DATA RACE$"),
        Pattern(r"(^|\s)\S+:\d+(:\d+)?: runtime error: "),
        Pattern(r"==\d+== (" + "|".join(_VALGRIND) + ")"),
    )


def is_report(line: str) -> bool:
    """Whether `line` is, or begins, a report; none is what a sanitizer prints when all is well."""
    return any(pattern.search(line) for pattern in _patterns())
