"""A gateway whose clock runs faster: libfaketime, and what it leaves out.

libfaketime (Debian's package) is preloaded into the gateway and whatever it starts. It fakes the clocks
and most waits; `timescale.c`, which is compiled for the run, does the rest. Both count from the same moment,
the start of the run, so that all processes agree about the time, whenever they were started: libfaketime
would take that from shared memory of the first of them, which is prepared here instead, under a name of the
run's own (its own names are process ids, of which every PID namespace has the same).

Before a gateway is started so, a program of ours is asked what time it is.
"""

from __future__ import annotations

import ctypes
import fcntl
import math
import os
import secrets
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from iotsim.errors import IotsimError, MachineError
from iotsim.testbed.elf import why_not_preloaded, why_unreachable
from iotsim.testbed.users import sudo_user

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from iotsim.testbed.users import User

LIBRARY = "libfaketime.so.1"
PLACES = ("/usr/lib/{machine}-linux-gnu/faketime", "/usr/lib64/faketime", "/usr/lib/faketime")
OTHER_PLACE = "IOTSIM_FAKETIME"
"""The variable that names the library where it lies elsewhere."""
SOURCE = Path(__file__).with_name("timescale.c")
INSTALL = "sudo apt install faketime gcc libc6-dev"
SHARED = Path("/dev/shm")  # where shm_open(3) and sem_open(3) have their files
PREFIX = "iotsim-time-"
SHARED_BYTES = 4096
LEFT_OVER_S = 60.0
COMPILE_TIMEOUT_S = 60
PROBE_TIMEOUT_S = 30
PROBE_AGO_S = 10
PROBE_SLACK_S = 0.1
PROBE = "import time; print(time.time(), flush=True)"
ASAN_OPTIONS = "verify_asan_link_order=0"
"""AddressSanitizer ends a program in which other libraries come before its own, harmless ones, too."""
CLOCKS = (time.CLOCK_REALTIME, time.CLOCK_MONOTONIC, time.CLOCK_MONOTONIC_RAW, time.CLOCK_BOOTTIME)


def check_reach(command: Sequence[str], env: Mapping[str, str], cwd: Path, speed: float) -> None:
    """IotsimError if the clock of `command` cannot be made to run at `speed`."""
    if why := why_unreachable(command, env, cwd):
        raise IotsimError(
            f"the gateway cannot be run at speed {speed:g}: {why}, and its clock would go on at the usual "
            "pace; link it dynamically, or leave out 'speed'"
        )


class TimeScale:
    """What makes the clocks of processes run at `speed`: made before the run, closed at its end.

    MachineError, with the fix, if this machine lacks what it takes.
    """

    def __init__(self, speed: float, gateway_user: User | None = None) -> None:
        self.speed = speed
        with ExitStack() as stack:
            faketime = find_library()
            self._name = f"{PREFIX}{os.getpid()}-{secrets.token_hex(4)}"
            temporary = tempfile.TemporaryDirectory(prefix=f"{self._name}-")
            folder = Path(stack.enter_context(temporary))
            folder.chmod(0o755)  # the gateway may be another user's
            self._preload = f"{_compile(folder)} {faketime}"
            self._shared_fd = self._share(stack)
            _hand_over([folder, *folder.iterdir()], self._shared_files(), gateway_user)
            self.begin()
            self._probe()
            self._closing = stack.pop_all()

    def environment(self, env: Mapping[str, str]) -> dict[str, str]:
        """`env` with what a process needs."""
        preload = " ".join(filter(None, (self._preload, env.get("LD_PRELOAD", ""))))
        options = ":".join(filter(None, (ASAN_OPTIONS, env.get("ASAN_OPTIONS", ""))))
        return {
            **{name: value for name, value in env.items() if not name.startswith("FAKETIME")},
            "LD_PRELOAD": preload,
            "FAKETIME": f"+0 x{_plain(self.speed)}",
            "FAKETIME_SHARED": f"/{self._name} /{self._name}",
            "IOTSIM_SPEED": _plain(self.speed),
            "ASAN_OPTIONS": options,
            # The times of files are real: scaled, they would lie in another century.
            "NO_FAKE_STAT": "1",
        }

    def begin(self, ago_s: int = 0) -> None:
        """Simulated and real time are the same now, or were so long ago: this is the start of the run."""
        shared = struct.pack("=QQ", 0, 0)
        for clock in CLOCKS:
            seconds, rest = divmod(time.clock_gettime_ns(clock), 10**9)
            shared += struct.pack("=qq", seconds - ago_s, rest)
        os.pwrite(self._shared_fd, shared, 0)

    def close(self) -> None:
        self._closing.close()

    def _share(self, stack: ExitStack) -> int:
        """Make the shared memory and the semaphore that libfaketime expects; the memory's descriptor."""
        _forget_left_over()
        memory, semaphore = self._shared_files()
        fd = os.open(memory, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        stack.callback(os.close, fd)
        stack.callback(memory.unlink, missing_ok=True)
        fcntl.flock(fd, fcntl.LOCK_EX)  # as long as the run lives
        os.ftruncate(fd, SHARED_BYTES)
        libc = ctypes.CDLL(None, use_errno=True)
        libc.sem_open.restype = ctypes.c_void_p
        opened = libc.sem_open(
            f"/{self._name}".encode(),
            os.O_CREAT | os.O_EXCL,
            ctypes.c_uint(0o600),
            ctypes.c_uint(1),
        )
        stack.callback(semaphore.unlink, missing_ok=True)
        if not opened:
            raise MachineError(
                f"no semaphore can be made in {SHARED}: {os.strerror(ctypes.get_errno())}",
                "mount a tmpfs there",
            )
        libc.sem_close(ctypes.c_void_p(opened))
        return fd

    def _shared_files(self) -> list[Path]:
        return [SHARED / self._name, SHARED / f"sem.{self._name}"]

    def _probe(self) -> None:
        """Ask a program what time it is: not every version of libfaketime does as it is told."""
        words = [sys.executable, "-I", "-S", "-c", PROBE]
        before, start = time.monotonic(), time.time() - PROBE_AGO_S
        self.begin(PROBE_AGO_S)
        try:
            done = subprocess.run(
                words,
                env=self.environment(os.environ),
                capture_output=True,
                text=True,
                timeout=PROBE_TIMEOUT_S,
                check=False,
            )
            told = float(done.stdout) - start
        except (OSError, ValueError, subprocess.TimeoutExpired):
            told = -math.inf
        # It was asked at some time between these two.
        earliest = PROBE_AGO_S * self.speed
        latest = earliest + (time.monotonic() - before) * self.speed
        if not earliest - PROBE_SLACK_S <= told <= latest + PROBE_SLACK_S:
            raise MachineError(
                "libfaketime does not scale the clock of a program here, as it should",
                f"{INSTALL}, in a version from 0.9.8 on",
            )


class Reach:
    """Watches which processes in the PID namespace of `init_pid` keep to the real time, and tells of each
    program once."""

    def __init__(self, init_pid: int, tell: Callable[[str], object]) -> None:
        self._init_pid = init_pid
        self._tell = tell
        self._known: set[Path] = set()

    def look(self) -> None:
        """What has ended since the last look, or is none of this user's, is not seen."""
        for pid in _offspring(self._init_pid):
            with suppress(OSError):
                program = Path(f"/proc/{pid}/exe").readlink()
                if program not in self._known:
                    self._known.add(program)
                    if why := why_not_preloaded(Path(f"/proc/{pid}/exe")):
                        started = f"The gateway has started {program}, which {why}"
                        self._tell(f"{started}: its clock goes on at the usual pace.")


def _offspring(pid: int) -> list[int]:
    """The processes that `pid` has started, and they in turn."""
    found, at = [pid], 0
    while at < len(found):
        for thread in Path(f"/proc/{found[at]}/task").glob("*/children"):
            with suppress(OSError):
                found += map(int, thread.read_text().split())
        at += 1
    return found[1:]


def find_library() -> Path:
    """libfaketime. MachineError, with the fix, where it is not installed."""
    machine = os.uname().machine
    places = [os.environ.get(OTHER_PLACE, "")]
    places += [f"{place.format(machine=machine)}/{LIBRARY}" for place in PLACES]
    for place in filter(None, places):
        if os.path.isfile(place):  # noqa: PTH113  # also of what can be no path
            return Path(place).absolute()
    raise MachineError(
        "libfaketime, which makes the gateway's clock run faster, is not installed", INSTALL
    )


def _compile(folder: Path) -> Path:
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        raise MachineError(
            "there is no C compiler, for what libfaketime leaves in real time", INSTALL
        )
    library = folder / "timescale.so"
    words = [compiler, "-O2", "-shared", "-fPIC", "-o", str(library), str(SOURCE), "-ldl"]
    try:
        done = subprocess.run(
            words, capture_output=True, text=True, timeout=COMPILE_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise MachineError(f"{compiler} cannot be used: {error}", INSTALL) from None
    if done.returncode:
        first = next(iter(done.stderr.splitlines()), "no reason given")
        raise MachineError(f"{SOURCE.name} cannot be compiled: {first}", INSTALL)
    library.chmod(0o755)
    return library


def _hand_over(files: Sequence[Path], shared: Sequence[Path], gateway_user: User | None) -> None:
    """Let whoever this process will be remove them all, and the gateway's user share what is shared."""
    user = sudo_user()
    if user is not None:
        for path in (*files, *shared):
            os.chown(path, user.uid, user.gid)
    if gateway_user is not None and gateway_user.uid != (
        os.geteuid() if user is None else user.uid
    ):
        for path in shared:
            path.chmod(0o666)


def _forget_left_over() -> None:
    """Remove what runs have left that were killed: nobody holds the lock of their memory any more."""
    for memory in SHARED.glob(f"{PREFIX}*"):
        with suppress(OSError), memory.open("rb") as file:
            if os.fstat(file.fileno()).st_mtime + LEFT_OVER_S > time.time():
                continue  # it may not be locked yet
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            (SHARED / f"sem.{memory.name}").unlink(missing_ok=True)
            for folder in Path(tempfile.gettempdir()).glob(f"{memory.name}-*"):
                shutil.rmtree(folder, ignore_errors=True)
            memory.unlink()


def _plain(number: float) -> str:
    """Without an exponent, and without a point where none is needed: some locales have another."""
    return f"{number:.6f}".rstrip("0").rstrip(".")
