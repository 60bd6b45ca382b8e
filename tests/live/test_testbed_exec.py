"""Commands inside a running testbed."""

from __future__ import annotations

import os
import pty
import sys
from typing import TYPE_CHECKING

import pytest
import trio

from iotsim.testbed.bed import open_testbed
from iotsim.testbed.plan import TestbedPlan
from iotsim.testbed.runs import Run, exec_in_run, find_run, list_runs

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.needs("tun")

PLAN = TestbedPlan(
    addresses=((0x0A4D0001, 16),), run_name=f"exec-{os.getpid()}", results="/tmp/exec-results"
)


@pytest.fixture
async def run() -> AsyncIterator[Run]:
    async with open_testbed(PLAN) as testbed:
        process = await testbed.start_gateway(["sleep", "600"], dict(os.environ))
        found = find_run(PLAN.run_name)
        assert found == Run(PLAN.run_name, PLAN.results, testbed.init_pid)
        yield found
        await process.stop(9)
    assert found not in list_runs()


@pytest.mark.needs("ip", "ps")
async def test_the_command_is_inside_with_all_capabilities(
    run: Run, capfd: pytest.CaptureFixture[str]
) -> None:
    script = "ip -br -4 addr; ps -eo comm=; pwd; ip link set iotsim0 mtu 1400; ip link show iotsim0"
    status = exec_in_run(run, ["sh", "-ec", script])
    lines = capfd.readouterr().out.splitlines()
    assert status == 0
    assert lines[1].split() == ["iotsim0", "UNKNOWN", "10.77.0.1/16"]
    assert lines[2:4] == ["iotsim-init", "sleep"]
    assert os.getcwd() in lines  # noqa: PTH109
    assert "mtu 1400" in "".join(lines)


@pytest.mark.parametrize(
    ("command", "status"),
    [(["sh", "-c", "exit 3"], 3), (["sh", "-c", "kill -9 $$"], 137), (["no-such-command"], 127)],
)
async def test_the_exit_code_is_the_commands(run: Run, command: list[str], status: int) -> None:
    assert exec_in_run(run, command) == status


async def test_the_terminal_passes_through(run: Run) -> None:
    ours, theirs = pty.openpty()
    code = (
        "import sys; from iotsim.testbed.runs import *; "
        f"sys.exit(exec_in_run(find_run({run.name!r}), ['sh', '-c', 'tty; test -t 0']))"
    )
    command = [sys.executable, "-c", code]
    result = await trio.run_process(
        command, stdin=theirs, stdout=theirs, stderr=theirs, check=False
    )
    assert result.returncode == 0
    assert os.read(ours, 999).decode().strip() == os.ttyname(theirs)
    os.close(ours)
    os.close(theirs)


def test_a_run_that_has_ended(capfd: pytest.CaptureFixture[str]) -> None:
    assert exec_in_run(Run("old", "", 2**22 + 1), ["true"]) == 126
    assert "cannot be entered: it has ended" in capfd.readouterr().err
