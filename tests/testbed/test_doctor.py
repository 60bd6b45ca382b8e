from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from iotsim.testbed import doctor

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("release", "ok"), [("6.18.44-generic", True), ("4.18.0", True), ("4.15.0-1-x", False)]
)
def test_kernel(release: str, ok: bool) -> None:
    check = doctor.check_kernel(release)
    assert check.ok is ok
    assert bool(check.fix) is not ok


def test_a_device_that_is_missing_or_no_device(tmp_path: Path) -> None:
    missing = doctor.check_tun_device(str(tmp_path / "tun"))
    assert not missing.ok
    assert "modprobe tun" in missing.fix
    (tmp_path / "file").touch()
    wrong = doctor.check_tun_device(str(tmp_path / "file"))
    assert "no character device" in wrong.detail
    assert "mknod" in wrong.fix


def test_steps_after_a_failure_are_not_tried() -> None:
    probe = {"namespaces": [False, "no", "do this"]}
    assert doctor.probe_check("ns", probe, "namespaces") == ("ns", False, "no", "do this", True)
    assert "not tried" in doctor.probe_check("TUN", probe, "tun").detail


def test_every_finding_is_good_or_says_something() -> None:
    for check in doctor.run_checks():
        assert check.detail
        assert "\n" not in check.fix


def test_capabilities_are_not_needed_where_namespaces_can_be_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(doctor.linux, "has_capability", lambda _: False)
    check = doctor.check_capabilities(private=True)
    assert check.ok
    assert not check.fix
    assert "none are needed" in check.detail
    check = doctor.check_capabilities(private=False)
    assert not check.ok
    assert "as root" in check.fix


def test_a_probe_that_cannot_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.sys, "executable", "/no/such/python")
    found = doctor.run_probe("/dev/net/tun")
    assert not found["namespaces"][0]
    assert "could not be tried" in found["namespaces"][1]
