"""What is decided; what comes of it in a process is in tests/live/test_run_privileges.py."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from iotsim.capabilities import Capability, names_of, parse_capability
from iotsim.testbed import linux, rights

if TYPE_CHECKING:
    from collections.abc import Iterator

RAW = Capability.NET_RAW.bit
TIME = Capability.SYS_TIME.bit
ADMINISTRATION = Capability.SYS_ADMIN.bit | Capability.NET_ADMIN.bit


@contextmanager
def holding(mask: int, uid: int = 0) -> Iterator[None]:
    """Let this process seem to be `uid`'s and to have the capabilities of `mask`, as long as it lasts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(linux, "get_capabilities", lambda: (mask, mask, 0))
        patch.setattr(os, "geteuid", lambda: uid)
        yield


@pytest.mark.parametrize(
    ("held", "private", "lacking"),
    [
        (ADMINISTRATION | RAW | TIME, True, ""),
        (ADMINISTRATION | RAW | TIME, False, ""),
        (ADMINISTRATION | RAW, True, "CAP_SYS_TIME"),  # a container, as a rule
        (ADMINISTRATION, False, "CAP_NET_RAW, CAP_SYS_TIME"),
        (0, True, ""),  # in a user namespace, which has them all
        (0, False, "CAP_NET_RAW, CAP_SYS_TIME"),  # also in one, which does not own the network
        (Capability.NET_ADMIN.bit | RAW | TIME, False, "CAP_NET_RAW, CAP_SYS_TIME"),  # the same
    ],
)
def test_capabilities_that_cannot_be_had(held: int, private: bool, lacking: str) -> None:
    reason = ""
    with holding(held):
        try:
            rights.check_capabilities(RAW | TIME, private=private)
        except rights.RightsError as error:
            reason = error.reason
    assert reason == (f"the gateway cannot have {lacking}" if lacking else "")


@pytest.mark.parametrize(
    ("uid", "fix"),
    [(0, "start the container with --cap-add NET_RAW"), (1, "run iotsim as root")],
)
def test_the_fix_depends_on_who_asks(uid: int, fix: str) -> None:
    with holding(ADMINISTRATION, uid), pytest.raises(rights.RightsError) as caught:
        rights.check_capabilities(RAW, private=True)
    assert caught.value.fix == fix


def test_what_is_less_than_it_seems_is_told() -> None:
    (note,) = rights.capability_notes(RAW | TIME, user_namespace=True)
    assert note.startswith("the gateway has CAP_SYS_TIME over its own user namespace only")
    assert rights.capability_notes(RAW, user_namespace=True) == []
    assert rights.capability_notes(RAW | TIME, user_namespace=False) == []


def test_in_a_user_namespace_there_is_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUDO_UID", "54321")
    monkeypatch.setenv("SUDO_GID", "54321")
    with holding(0):
        assert rights.gateway_user("", private=True) is None
        with pytest.raises(rights.RightsError, match="cannot run as 54321"):
            rights.gateway_user("54321", private=True)


@pytest.mark.parametrize("text", ["net_raw", "NET_RAW", "cap_net_raw", "CAP_NET_RAW"])
def test_capabilities_have_names(text: str) -> None:
    assert parse_capability(text) is Capability.NET_RAW
    assert names_of(Capability.NET_RAW.bit | Capability.CHOWN.bit) == "CAP_CHOWN, CAP_NET_RAW"


def test_what_is_no_name_of_a_capability() -> None:
    with pytest.raises(ValueError, match="there is no capability 'net_rwa'"):
        parse_capability("net_rwa")
