"""Run a server and its client in a network and PID namespace of their own.

`run_pair` starts this file again by ``unshare``; there it brings the loopback interface up, starts
the server, waits until it is ready, runs the client, and ends the server. Whatever happens, nothing
outlives the PID namespace. No root is needed where user namespaces are allowed.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SIOCGIFFLAGS = 0x8913
SIOCSIFFLAGS = 0x8914
IFF_UP = 1
READY_TIMEOUT_S = 20.0
SERVER_FAILED = 3


class PairError(RuntimeError):
    """A server did not start, or the client did not report a result."""


def run_pair(
    server: list[str],
    client: list[str],
    *,
    ready: str,
    timeout_s: float = 90,
    cpu: int | None = None,
    cwd: Path | None = None,
) -> dict[str, object]:
    """The client's JSON result. ``ready`` is "stdout:TEXT" or "udp:PORT"; ``cpu`` pins both."""
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    command = [
        *(["taskset", "-c", str(cpu)] if cpu is not None else []),
        "unshare", *user, "--net", "--pid", "--fork", "--kill-child", "--mount-proc",
        sys.executable, __file__, json.dumps({"server": server, "client": client, "ready": ready}),
    ]  # fmt: skip
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=timeout_s, cwd=cwd, check=False
    )
    if done.returncode == SERVER_FAILED or not done.stdout.strip().endswith("}"):
        raise PairError(f"{' '.join(server)}: {(done.stderr or done.stdout).strip()[-600:]}")
    result: dict[str, object] = json.loads(done.stdout.strip().splitlines()[-1])
    return result


# ---------------------------------------------------------------- inside the namespaces


def bring_up(interface: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        request = struct.pack("16sh14x", interface.encode(), 0)
        flags = struct.unpack("16sh14x", fcntl.ioctl(control, SIOCGIFFLAGS, request))[1]
        fcntl.ioctl(
            control, SIOCSIFFLAGS, struct.pack("16sh14x", interface.encode(), flags | IFF_UP)
        )


def listens(port: int) -> bool:
    for table in ("/proc/net/udp", "/proc/net/udp6"):
        with contextlib.suppress(OSError):
            lines = Path(table).read_text().splitlines()[1:]
            if any(int(line.split()[1].rsplit(":", 1)[1], 16) == port for line in lines):
                return True
    return False


def wait_ready(server: subprocess.Popen[bytes], ready: str) -> None:
    kind, _, what = ready.partition(":")
    end = time.monotonic() + READY_TIMEOUT_S
    seen = b""
    while time.monotonic() < end:
        if server.poll() is not None:
            raise PairError(f"the server ended with {server.returncode}")
        if kind == "udp":
            if listens(int(what)):
                return
            time.sleep(0.02)
        elif server.stdout and select.select([server.stdout], [], [], 0.1)[0]:
            seen += os.read(server.stdout.fileno(), 4096)
            if what.encode() in seen:
                return
    raise PairError(f"the server is not ready after {READY_TIMEOUT_S:.0f} s")


def main() -> int:
    plan = json.loads(sys.argv[1])
    bring_up("lo")
    complaints = tempfile.TemporaryFile()  # noqa: SIM115  (it outlives the server)
    server = subprocess.Popen(
        plan["server"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE if plan["ready"].startswith("stdout:") else subprocess.DEVNULL,
        stderr=complaints,
    )
    try:
        wait_ready(server, plan["ready"])
        status = subprocess.run(plan["client"], check=False).returncode
        if server.poll() is not None:
            raise PairError(f"the server ended with {server.returncode} under load")
        return status
    except PairError as error:
        complaints.seek(0)
        print(f"{error}: {complaints.read(2000).decode(errors='replace')}", file=sys.stderr)
        return SERVER_FAILED
    finally:
        server.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(2)
        server.kill()


if __name__ == "__main__":
    sys.exit(main())
