"""Without a gateway of ours: the interface stands in the host's network, here one of the test's own."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.conftest import CommandLine, Done

pytestmark = pytest.mark.needs("root", "tun", "ip")

background = pytest.mark.background

SCRIPT = """
ip link set lo up
"$PY" -m iotsim run meters.toml --out out &
run=$!
until ip link show up iotsim0 2>/dev/null | grep -q UP; do sleep 0.05; done
python3 -IS poller.py 10.77.1.1 10.77.1.2 10.77.1.3
wait $run
status=$?
ip -o link
exit $status
"""


def polled_by_a_program_outside(iotsim: CommandLine) -> Done:
    iotsim.meters()
    # In a PID namespace of its own, all that the script has started ends with it.
    alone = ["unshare", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]
    environment = {**iotsim.environment, "PY": sys.executable}
    return iotsim.finish(iotsim.start_other([*alone, "sh", "-ec", SCRIPT], env=environment))


@background(job=polled_by_a_program_outside)
def test_a_program_in_the_host_polls_the_devices(done: Done) -> None:
    assert done.status == 0, done.text
    assert "interface iotsim0 is up" in done.text
    assert "ip route add 10.77.1.0/30 via ADDRESS-OF-THIS-MACHINE" in done.text
    assert done.text.count("answer 10.77.1.") == 3
    assert "PASSED" in done.text
    # Nothing but lo is left there.
    assert done.text.splitlines()[-1].startswith("1: lo:")
    assert done.result["gateway"] is None
    counters = done.result["counters"]
    assert counters["outcome.answered"] == 3
    assert counters["packets.received"] == counters["interface.to_devices"]
