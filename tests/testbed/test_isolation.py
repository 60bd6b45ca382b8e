from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from iotsim.errors import MachineError
from iotsim.testbed import isolation

if TYPE_CHECKING:
    from pathlib import Path


def test_the_switch_that_forbids_user_namespaces_is_the_fix(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    allowed, forbidden = tmp_path / "allowed", tmp_path / "forbidden"
    allowed.write_text("1\n")
    forbidden.write_text("0\n")
    table = [
        (str(tmp_path / "missing"), "0", "sysctl missing"),
        (str(allowed), "0", "sysctl allowed"),
        (str(forbidden), "0", "sysctl forbidden"),
    ]
    monkeypatch.setattr(isolation, "USER_SYSCTLS", table)
    assert isolation.userns_fix() == "sysctl forbidden"
    monkeypatch.setattr(isolation, "USER_SYSCTLS", table[:2])
    assert "namespaces" in isolation.userns_fix() or "container" in isolation.userns_fix()


def test_a_network_namespace_that_does_not_exist() -> None:
    with pytest.raises(MachineError) as caught:
        isolation.enter_named_network("no-such-namespace")
    assert caught.value.fix == "sudo ip netns add no-such-namespace"
