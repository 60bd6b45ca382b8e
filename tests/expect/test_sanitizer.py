"""The reports of sanitizers, as they print them, and what else looks like one."""

from __future__ import annotations

import pytest
from tests.expect.transcript import Transcript

from iotsim.expect.sanitizer import Report, is_report, worth_showing
from iotsim.expect.spec import ExpectSpec, GatewayExpectation

REPORTS = """
==3741==ERROR: AddressSanitizer: heap-use-after-free on address 0x602000000010 at pc 0x55d6
==3741==ERROR: AddressSanitizer: stack-overflow on address 0x7ffe (pc 0x0 bp 0x0 sp 0x0 T0)
AddressSanitizer:DEADLYSIGNAL
SUMMARY: AddressSanitizer: heap-use-after-free uaf.c:5 in main
==1==ERROR: HWAddressSanitizer: tag-mismatch on address 0x0042 at pc 0xaaaa
==23646==ERROR: LeakSanitizer: detected memory leaks
SUMMARY: AddressSanitizer: 7 byte(s) leaked in 1 allocation(s).
==6726==WARNING: MemorySanitizer: use-of-uninitialized-value
WARNING: ThreadSanitizer: data race (pid=19219)
WARNING: ThreadSanitizer: lock-order-inversion (potential deadlock) (pid=7)
FATAL: ThreadSanitizer: unexpected memory mapping 0x5615
gateway.c:12:7: runtime error: signed integer overflow: 2147483647 + 1 cannot be represented in type 'int'
[gateway] src/a.cpp:3:1: runtime error: load of null pointer of type 'int'
UndefinedBehaviorSanitizer:DEADLYSIGNAL
==9==ERROR: UndefinedBehaviorSanitizer: SEGV on unknown address 0x0 (pc 0x0 bp 0x0 sp 0x0 T9)
WARNING: DATA RACE
==19182== Invalid write of size 4
==19182== Invalid read of size 8
==19182== Invalid free() / delete / delete[] / realloc()
==19182== Mismatched free() / delete / delete []
==19182== Conditional jump or move depends on uninitialised value(s)
==19182== Use of uninitialised value of size 8
==19182== Syscall param write(buf) points to uninitialised byte(s)
==19182== Source and destination overlap in memcpy(0x1, 0x2, 20)
==19182== Process terminating with default action of signal 11 (SIGSEGV)
==19182== 40 bytes in 1 blocks are definitely lost in loss record 1 of 1
==19182== 1,024 (24 direct, 1,000 indirect) bytes in 1 blocks are definitely lost in loss record 2 of 2
==19182==    definitely lost: 40 bytes in 1 blocks
==19182== ERROR SUMMARY: 1 errors from 1 contexts (suppressed: 0 from 0)
==19182== Possible data race during write of size 4 at 0x601038 by thread #1
==19182== Conflicting store by thread 1 at 0x601038 size 4
==19182== Thread #1: lock order "0x7FF0006D0 before 0x7FF0006A0" violated
"""
NONE = """
listening
ERROR: no answer from meter[3]
WARNING: AddressSanitizerless build
==19182== Memcheck, a memory error detector
==19182== HEAP SUMMARY:
==19182==     in use at exit: 0 bytes in 0 blocks
==19182== All heap blocks were freed -- no leaks are possible
==19182==    definitely lost: 0 bytes in 0 blocks
==19182==    still reachable: 72,704 bytes in 1 blocks
==19182== ERROR SUMMARY: 0 errors from 0 contexts (suppressed: 0 from 0)
==19182== Process terminating with default action of signal 15 (SIGTERM)
==7==WARNING: ASan doesn't fully support makecontext/swapcontext functions
no runtime error: all is well
the runtime error rate is 0%
RuntimeError: no such meter
"""


@pytest.mark.parametrize("line", REPORTS.strip().splitlines())
def test_a_report(line: str) -> None:
    assert is_report(line)


@pytest.mark.parametrize("line", NONE.strip("\n").splitlines())
def test_no_report(line: str) -> None:
    assert not is_report(line)


def test_an_expectation_fails_with_the_line() -> None:
    run = Transcript(ExpectSpec("it", "gateway", gateway=GatewayExpectation(no_report=True)))
    run.judge.gateway_output("all is well", 1.0)
    assert run.judge.verdicts() == [None]
    run.judge.gateway_output("==7==ERROR: LeakSanitizer: detected memory leaks", 2.0)
    outcome = run.end()
    assert outcome.expected == "the gateway prints no report of a sanitizer"
    assert outcome.actual == "it printed ==7==ERROR: LeakSanitizer: detected memory leaks"
    assert outcome.t == 2.0


STACK_OVERFLOW = """\
=================================================================
==2==ERROR: AddressSanitizer: stack-buffer-overflow on address 0x7ffc8 at pc 0x7f3 bp 0x7ff sp 0x7fe
WRITE of size 900 at 0x7ffc8 thread T0
    #0 0x7f39a in __interceptor_memcpy (/lib/x86_64-linux-gnu/libasan.so.8+0x3d39a) (BuildId: 7f)
    #1 0x55d41 in take src/gateway.c:149
    #2 0x55d42 in main src/gateway.c:201:7
    #3 0x7f2a0 in __libc_start_main (/lib/libc.so.6+0x2a0)

Address 0x7ffc8 is located in stack of thread T0 at offset 96 in frame
    #0 0x55d43 in take src/gateway.c:140
""".splitlines()
LEGEND = [f"  Shadow byte legend, line {n}" for n in range(50)]
TOLD = (
    "==2==ERROR: AddressSanitizer: stack-buffer-overflow on address 0x7ffc8, "
    "#0 __interceptor_memcpy, #1 take src/gateway.c:149, #2 main src/gateway.c:201:7"
)


@pytest.mark.parametrize("at_its_end", [False, True])
def test_an_expectation_tells_what_a_report_says_and_where_that_was(at_its_end: bool) -> None:
    run = Transcript(ExpectSpec("it", "gateway", gateway=GatewayExpectation(no_report=True)))
    if at_its_end:
        run.end(3.0)
    for line in [*STACK_OVERFLOW, *LEGEND, "==2==ABORTING"]:
        run.judge.gateway_output(line, 2.0)
    (outcome,) = run.judge.gateway_outcomes()
    assert not outcome.passed
    assert outcome.actual == f"it printed {TOLD}"
    assert outcome.t == 2.0


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (
            """\
==9== Invalid write of size 4
==9==    at 0x10916B: take (gateway.c:149)
==9==    by 0x109190: main (gateway.c:201)
==9==  Address 0x4a5 is 0 bytes after a block of size 40 alloc'd
==9==    at 0x484: malloc (vg_replace_malloc.c:381)""",
            "==9== Invalid write of size 4, #0 take (gateway.c:149), #1 main (gateway.c:201)",
        ),
        (
            """\
WARNING: DATA RACE
Write at 0x00c0 by goroutine 7:
  main.take()
      /src/main.go:14 +0x44

Previous read at 0x00c0 by main goroutine:
  main.main()
      /src/main.go:20 +0x88""",
            "WARNING: DATA RACE, #0 main.take() /src/main.go:14",
        ),
        (
            """\
AddressSanitizer:DEADLYSIGNAL
=================================================================
==7==ERROR: AddressSanitizer: SEGV on unknown address 0x000 (pc 0x55 bp 0x7f sp 0x7f T0)
    #0 0x55d41 in take src/gateway.c:149""",
            "==7==ERROR: AddressSanitizer: SEGV on unknown address 0x000, #0 take src/gateway.c:149",
        ),
        ("g.c:1:2: runtime error: oh\npolling\n#1 of 3", "g.c:1:2: runtime error: oh"),
        ("WARNING: DATA RACE\n" + "x\n" * 50 + "#0 take", "WARNING: DATA RACE"),
    ],
)  # fmt: skip
def test_what_is_told_of_a_report(lines: str, told: str) -> None:
    first, *others = lines.splitlines()
    report = Report(first)
    for line in others:
        report.take(line)
    assert str(report) == told


def test_of_a_program_that_a_sanitizer_has_ended_the_begin_of_the_report_is_shown() -> None:
    shown = worth_showing(["polling", *STACK_OVERFLOW, *LEGEND, "==2==ABORTING"], 10)
    assert shown == [*STACK_OVERFLOW[1:7], *STACK_OVERFLOW[8:10], LEGEND[-1], "==2==ABORTING"]
    plain = [f"line {n}" for n in range(30)]
    assert worth_showing(plain, 10) == plain[-10:]
    assert worth_showing(plain[:3], 10) == plain[:3]
