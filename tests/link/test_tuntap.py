"""What can be told of opening TUN without privilege: how it fails."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from iotsim.errors import MachineError
from iotsim.link import tuntap


def open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


@pytest.mark.parametrize("name", ["", "sixteen-bytes-xx", "a/b", "a b", "a:b", "ä" * 8])
def test_a_name_that_no_interface_can_have(name: str) -> None:
    with pytest.raises(MachineError, match="cannot be the name"):
        tuntap.open_tuntap(name)


def test_a_device_that_is_not_there_says_how_to_make_it() -> None:
    with pytest.raises(MachineError) as caught:
        tuntap.open_tuntap("x0", device="/nonexistent/net/tun")
    assert "/nonexistent/net/tun does not exist" in caught.value.reason
    assert "modprobe tun" in caught.value.fix
    assert "mknod -m 666 /nonexistent/net/tun c 10 200" in caught.value.fix


@pytest.mark.parametrize(
    ("code", "reason", "fix"),
    [
        (errno.EACCES, "may not be opened by this user", "chmod 666 /dev/net/tun"),
        (errno.EPERM, "device rules", "--device /dev/net/tun"),
        (errno.ENODEV, "no driver", "modprobe"),
        (errno.EMFILE, "too many open files", "ulimit"),
        (errno.EIO, "Input/output error", "doctor"),
    ],
)
def test_each_refusal_has_its_own_fix(code: int, reason: str, fix: str) -> None:
    error = tuntap.explain_open("/dev/net/tun", OSError(code, os.strerror(code)))
    assert reason in error.reason
    assert fix in error.fix


def test_another_device_is_not_taken_for_tun() -> None:
    before = open_files()
    with pytest.raises(MachineError, match="/dev/null is not the TUN device"):
        tuntap.open_tuntap("x0", device="/dev/null")
    assert open_files() == before


def test_the_device_can_be_named_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(tuntap.DEVICE_VARIABLE, raising=False)
    assert tuntap.tun_device() == "/dev/net/tun"
    monkeypatch.setenv(tuntap.DEVICE_VARIABLE, "/tmp/tun")
    assert tuntap.tun_device() == "/tmp/tun"
