"""Code of the user's that keeps everything waiting: it is interrupted, its device fails, the rest goes on."""

from __future__ import annotations

import signal
import textwrap
import threading
from typing import TYPE_CHECKING, Any

import pytest
import trio

from iotsim.events import DeviceFailed, Note
from iotsim.simulation import simulation as module
from iotsim.simulation.watchdog import SIGNAL, Watchdog

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

READ = {"kind": "READ", "device": 7, "seq": 1, "point": 0}
SCENARIO = """
[link]
kind = "memory"
[gateway]
port = 7001
[devices.meter]
count = 2
address = "10.77.1.1"
protocol = "sensornet"
behavior = "meter.py:Meter"
"""
SCHEMA = """
import time
from construct import Adapter, Int8ub, Struct
from iotsim import Protocol

class Slow(Adapter):
    def _decode(self, value, context, path):
        time.sleep(1000 * (value == 1))
        return value
    def _encode(self, value, context, path):
        time.sleep(1000 * (value == 3))
        return value

def answer(error, data):
    time.sleep(1000)

PROTOCOL = Protocol(name="slow", message=Struct("a" / Slow(Int8ub)), port=5600, error_reply=answer)
"""


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE_S", 0.3)


def behavior(
    folder: Path, body: str, head: str = "@on(kind='READ')\n    def read(self, request):"
) -> None:
    (folder / "meter.py").write_text(
        "import re\nimport time\nfrom iotsim import Device, on\n\nclass Meter(Device):\n"
        f"    {head}\n{textwrap.indent(textwrap.dedent(body), '        ')}\n"
    )


def failures(gateway: Any) -> dict[str, str]:
    return {e.device: e.error for e in gateway.events if isinstance(e, DeviceFailed)}


async def until(condition: Callable[[], object]) -> None:
    while not condition():  # noqa: ASYNC110 - events are told to nobody else
        await trio.sleep(0.05)


@pytest.mark.parametrize(
    "body",
    [
        "time.sleep(1000)",
        "while True: pass",
        "re.match('(a+)+$', 'a' * 40 + 'b')",
        "while True: self.index",
        """
        try:
            time.sleep(1000)
        except BaseException:
            return {"kind": "REPORT", "value": 1}
        """,
        """
        try:
            while True: pass
        except Exception:
            pass
        """,
    ],
    ids=["sleep", "loop", "regex", "calls us", "catches it and returns", "catches exceptions"],
)
async def test_a_handler(body: str, tmp_path: Path, simulated: Callable[[str], Any]) -> None:
    behavior(tmp_path, body)
    async with simulated(SCENARIO) as gateway:
        with trio.fail_after(10):
            gateway.send("10.77.1.1", READ)
            await until(lambda: failures(gateway))
        (device, why), *others = failures(gateway).items()
        assert not others
        assert device == "meter[0]"
        assert why.startswith("Meter.read() has kept all devices waiting for ")
        assert "meter.py:" in why
        details = next(e.traceback for e in gateway.events if isinstance(e, DeviceFailed))
        assert "in read" in details


async def test_its_like_is_not_waited_for_as_long_again(
    tmp_path: Path, simulated: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PATIENCE_S", 1.0)
    behavior(tmp_path, "time.sleep(1000)")
    async with simulated(SCENARIO.replace("count = 2", "count = 8")) as gateway:
        with trio.fail_after(5):  # less than eight times a second
            for number in range(1, 9):
                gateway.send(f"10.77.1.{number}", READ)
            await until(lambda: len(failures(gateway)) == 8)
        assert failures(gateway)["meter[7]"].startswith("Meter.read() has stalled once more, at ")


async def test_a_task_and_what_makes_it(tmp_path: Path, simulated: Callable[[str], Any]) -> None:
    behavior(tmp_path, "if self.index: time.sleep(1000)", "async def run(self):")
    async with simulated(SCENARIO) as gateway:
        with trio.fail_after(10):
            await until(lambda: failures(gateway))
        assert failures(gateway)["meter[1]"].startswith("Meter.run() has kept all devices")
    behavior(tmp_path, "time.sleep(1000)", "async def run(self): pass\n    def __init__(self):")
    async with simulated(SCENARIO) as gateway:
        with trio.fail_after(10):
            await until(lambda: len(failures(gateway)) == 2)
        assert "Meter.__init__()" in failures(gateway)["meter[0]"]


async def test_who_waits_has_not_stalled(tmp_path: Path, simulated: Callable[[str], Any]) -> None:
    """A task whose call lasts as long as the run, and that is busy whenever it is looked at."""
    body = """
        until = time.monotonic() + 1.0
        while time.monotonic() < until:
            time.sleep(0.09)
            await self.sleep(0)
        self.log("done")
    """
    behavior(tmp_path, body, "async def run(self):")
    async with simulated(SCENARIO) as gateway:
        with trio.fail_after(10):
            await until(lambda: [e for e in gateway.events if isinstance(e, Note)])
        assert failures(gateway) == {}


@pytest.mark.parametrize(
    ("payload", "function"),
    [(b"\x01", "Slow._decode()"), (b"\x02", "Slow._encode()"), (b"\x02\x00", "answer()")],
    ids=["decoding", "encoding", "the answer to an error"],
)
async def test_functions_of_a_schema(
    payload: bytes, function: str, tmp_path: Path, simulated: Callable[[str], Any]
) -> None:
    (tmp_path / "protocols").mkdir()
    (tmp_path / "protocols" / "slow.py").write_text(SCHEMA)
    rule = "[[devices.meter.rules]]\nreply = { a = '=msg.a + 1' }\n"
    text = SCENARIO.replace("sensornet", "slow").replace('behavior = "meter.py:Meter"', "")
    async with simulated(text + rule) as gateway:
        with trio.fail_after(10):
            gateway.send("10.77.1.2", payload)
            await until(lambda: failures(gateway))
        assert failures(gateway)["meter[1]"].startswith(f"{function} has kept all devices waiting")


async def test_virtual_time(
    autojump_clock: trio.testing.MockClock, tmp_path: Path, simulated: Callable[[str], Any]
) -> None:
    behavior(tmp_path, "time.sleep(1000)")
    async with simulated(SCENARIO) as gateway:
        gateway.send("10.77.1.1", READ)
        await trio.sleep(3600)
        assert list(failures(gateway)) == ["meter[0]"]


async def test_what_needs_no_watchdog_has_none(simulated: Callable[[str], Any]) -> None:
    async with simulated(SCENARIO.replace('behavior = "meter.py:Meter"', "")):
        assert signal.getsignal(SIGNAL) is signal.SIG_DFL


async def test_after_a_run_nothing_is_left(tmp_path: Path, simulated: Callable[[str], Any]) -> None:
    behavior(tmp_path, "pass")
    async with simulated(SCENARIO), simulated(SCENARIO):
        assert signal.getsignal(SIGNAL) is not signal.SIG_DFL
    assert signal.getsignal(SIGNAL) is signal.SIG_DFL


def test_another_thread_than_the_main_one_is_left_alone() -> None:
    def enter() -> None:
        with Watchdog(["file.py"], schemas=False, on_stall=print):
            assert signal.getsignal(SIGNAL) is signal.SIG_DFL

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
