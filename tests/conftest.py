"""What the tests of the command line share: `iotsim` as users start it, in a folder of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests import interop, needs, processes, shares
from tests.shares import share_of

from iotsim.testbed import linux

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TIMEOUT_S = 60.0
RUNS_AT_A_TIME = 3

METERS = """
[scenario]
duration = "20s"
until = "{until}"

[link]
{link}

[gateway]
{gateway}

[devices.meter]
count = 3
address = "10.77.1.1"
protocol = "sensornet"
port = {port}

{rules}

{expect}
"""
ANSWER_READ = """
[[devices.meter.rules]]
when = { kind = "READ" }
reply = { kind = "REPORT", value = 20.5 }
"""
EACH_IS_READ = """
[[expect]]
name = "every meter is read"
each = "meter"
receives = { kind = "READ" }
within = "15s"
"""
POLLER = '''
"""Asks each address on the command line once, in turn, and prints what answers."""
import binascii, socket, struct, sys, time

def read(number):
    body = b"SN" + struct.pack("!BBHIHB", 1, 1, 9, 7, number, 0)
    return body + struct.pack("!H", binascii.crc_hqx(body, 0xFFFF))

sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.settimeout(5)
for number, address in enumerate(sys.argv[1:]):
    sock.sendto(read(number), (address, 5600))
    data, peer = sock.recvfrom(2048)
    kind, seq = data[3], int.from_bytes(data[10:12], "big")
    assert (peer[0], seq) == (address, number), (peer, seq)
    print("answer", address, "kind", kind, flush=True)
'''


@dataclass(frozen=True)
class Done:
    """A command that has ended. `text` is what it printed, errors included."""

    status: int
    text: str
    out: Path

    @property
    def result(self) -> dict[str, Any]:
        loaded: dict[str, Any] = json.loads((self.out / "result.json").read_text())
        return loaded

    @property
    def events(self) -> list[dict[str, Any]]:
        lines = (self.out / "events.jsonl").read_text().splitlines()
        return [json.loads(line) for line in lines]

    def events_of(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["event"] == kind]

    @property
    def log(self) -> str:
        return (self.out / "gateway.log").read_text()


class CommandLine:
    """The command ``iotsim`` in `folder`."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder = folder
        self.environment = environment
        self.out = folder / "out"
        self._started: list[subprocess.Popen[str]] = []

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
        return path

    def meters(
        self,
        *,
        gateway: str = "",
        rules: str = ANSWER_READ,
        expect: str = EACH_IS_READ,
        link: str = "",
        until: str = "settled",
        port: int = 5600,
        name: str = "meters.toml",
    ) -> Path:
        """A scenario of three meters at 10.77.1.1 and on, with ``poller.py`` beside it.

        Over the loopback link each test has a `port` of its own: there, it is the machine's.
        """
        self.write("poller.py", POLLER)
        parts = {"gateway": gateway, "rules": rules, "expect": expect, "link": link}
        return self.write(name, METERS.format(**parts, until=until, port=port))

    def words(self, *arguments: str | Path) -> list[str]:
        return [sys.executable, "-m", "iotsim", *map(str, arguments)]

    def start(self, *arguments: str | Path, **options: Any) -> subprocess.Popen[str]:
        """Start the command; it is killed when the test ends before it."""
        return self.start_other(self.words(*arguments), **options)

    def start_other(self, words: list[str], **options: Any) -> subprocess.Popen[str]:
        """As `start`, of any other command line."""
        process = processes.start(
            words,
            **{
                "cwd": self.folder,
                "env": self.environment,
                "stdin": subprocess.DEVNULL,
                "stdout": subprocess.PIPE,
                "stderr": subprocess.STDOUT,
                "text": True,
                **options,
            },
        )
        self._started.append(process)
        return process

    def finish(self, process: subprocess.Popen[str], out: Path | None = None) -> Done:
        text, _ = process.communicate(timeout=TIMEOUT_S)
        return Done(process.returncode, text or "", out or self.out)

    def __call__(self, *arguments: str | Path, **options: Any) -> Done:
        return self.finish(self.start(*arguments, **options))

    def run(self, scenario: str | Path, *arguments: str | Path, **options: Any) -> Done:
        """``iotsim run`` with its results in `out`."""
        return self("run", scenario, "--out", self.out, *arguments, **options)

    def wait_for(
        self,
        condition: Callable[[], Any],
        what: str,
        process: subprocess.Popen[Any] | None = None,
    ) -> None:
        """Wait until `condition` is true, as long as `process` has not ended."""
        deadline = time.monotonic() + TIMEOUT_S / 2
        while not condition():
            if process is not None and process.poll() is not None and not condition():
                text = process.stdout.read() if process.stdout is not None else ""
                raise AssertionError(f"it ended before {what}: {process.returncode}\n{text}")
            assert time.monotonic() < deadline, f"waited in vain for {what}"
            time.sleep(0.01)

    def end(self) -> None:
        for process in self._started:
            processes.end(process)


@pytest.fixture(scope="session")
def iotsim_environment() -> Iterator[dict[str, str]]:
    """An environment in which the second start is as quick as on a user's machine."""
    environment = {
        name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"
    }
    with tempfile.TemporaryDirectory(prefix="iotsim-bytecode-") as folder:
        Path(folder).chmod(0o755)  # pytest's own folders are closed to other users
        yield {**environment, "PYTHONPYCACHEPREFIX": folder}


@pytest.fixture(scope="session")
def command_line_in(iotsim_environment: dict[str, str]) -> Callable[[Path], CommandLine]:
    """Makes a `CommandLine` for a folder. Whoever does so calls its `end`."""
    return lambda folder: CommandLine(folder, dict(iotsim_environment))


@pytest.fixture
def iotsim(tmp_path: Path, command_line_in: Callable[[Path], CommandLine]) -> Iterator[CommandLine]:
    """``iotsim(*words)`` runs the command in `tmp_path`; see `CommandLine` for the rest."""
    command_line = command_line_in(tmp_path)
    yield command_line
    command_line.end()


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(needs)
    config.pluginmanager.register(interop)
    config.pluginmanager.register(shares)
    # In a job of CI, too, commands are to print what they print anywhere.
    for name in ("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY", "NO_COLOR", "FORCE_COLOR", "COLUMNS"):
        os.environ.pop(name, None)
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        # As in the background of a script; runs that tests interrupt would inherit it.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    config.addinivalue_line(
        "markers",
        "background(job): job(iotsim, **parameters) is called while other tests go on, and gives "
        "the fixture `done`: most of a run is waiting",
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Any:
    """A test in whose process `drop_privileges` was called takes them from all tests after it."""
    had = linux.get_capabilities()
    result = yield
    assert linux.get_capabilities() == had, "it has given up the privileges of the session"
    return result


def job_of(item: pytest.Item) -> tuple[Callable[..., Any], tuple[tuple[str, Any], ...]] | None:
    """The job of a test's mark `background`, with the test's parameters."""
    mark = item.get_closest_marker("background")
    if mark is None:
        return None
    parameters = item.callspec.params if hasattr(item, "callspec") else {}
    return mark.kwargs["job"], tuple(sorted(parameters.items()))


@pytest.fixture(scope="session")
def background(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    command_line_in: Callable[[Path], CommandLine],
) -> Iterator[Callable[[pytest.Item], Future[Any]]]:
    """Gives the job of a test, and starts those of all selected tests of the same share."""

    def work(job: Callable[..., Any], parameters: dict[str, Any], folder: Path) -> Any:
        iotsim = command_line_in(folder)
        try:
            return job(iotsim, **parameters)
        finally:
            iotsim.end()

    futures: dict[Any, Future[Any]] = {}

    def job_in_hand(wanted: pytest.Item) -> Future[Any]:
        for item in request.session.items:
            key = job_of(item)
            if key is None or key in futures or share_of(item.nodeid) != share_of(wanted.nodeid):
                continue
            if not needs.reason_to_skip(needs.needs_of(item)):
                job, parameters = key
                folder = tmp_path_factory.mktemp(job.__name__)
                futures[key] = pool.submit(work, job, dict(parameters), folder)
        return futures[job_of(wanted)]

    pool = ThreadPoolExecutor(RUNS_AT_A_TIME)
    yield job_in_hand
    pool.shutdown(cancel_futures=True)


@pytest.fixture
def done(request: pytest.FixtureRequest, background: Callable[[pytest.Item], Future[Any]]) -> Any:
    """What the job of the test's mark `background` gave; tests with the same job share it."""
    return background(request.node).result()
