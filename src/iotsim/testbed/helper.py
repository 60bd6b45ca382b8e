"""Starting the helper process, without trio: as early in a run as its plan is known."""

from __future__ import annotations

import contextlib
import os
import subprocess
from typing import TYPE_CHECKING

from iotsim.testbed import channel
from iotsim.testbed.init import command_line

CLOSE_TIMEOUT_S = 5.0

if TYPE_CHECKING:
    import socket

    from iotsim.testbed.plan import TestbedPlan


class Helper:
    """A helper process that sets up a testbed. Ends, with all in it, when `sock` is closed."""

    def __init__(self, process: subprocess.Popen[bytes], sock: socket.socket) -> None:
        assert process.stderr is not None
        self.process = process
        self.sock = sock
        self.errors_fd = process.stderr.fileno()
        os.set_blocking(self.errors_fd, False)
        self._errors = b""

    def read_errors(self) -> bool:
        """Read what the helper wrote to stderr so far; True at its end."""
        while True:
            try:
                data = os.read(self.errors_fd, 65536)
            except BlockingIOError:
                return False
            if not data:
                return True
            self._errors = (self._errors + data)[-65536:]

    def take_errors(self) -> str:
        return self._errors.decode(errors="replace")

    def close(self) -> None:
        """Let go of a helper, used or not, and wait until it has ended."""
        self.sock.close()
        if self.process.stderr is not None:
            self.process.stderr.close()
        try:
            self.process.wait(CLOSE_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(PermissionError):  # it is still root's, and we are not
                self.process.kill()
                self.process.wait()


def spawn_helper(plan: TestbedPlan) -> Helper:
    """Start the helper; returns at once, while it works."""
    ours, theirs = channel.make_pair()
    try:
        process = subprocess.Popen(
            command_line(plan.run_name, plan.results),
            stdin=theirs.fileno(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            bufsize=0,
            # Ctrl-C in the terminal is for the simulator to handle.
            start_new_session=True,
        )
    except BaseException:
        ours.close()
        raise
    finally:
        theirs.close()
    # If it has died already, who waits for it sees that, with its error output.
    with contextlib.suppress(OSError):
        channel.send(ours, {"plan": plan.to_json()})
    ours.setblocking(False)
    return Helper(process, ours)
