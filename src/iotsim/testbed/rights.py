"""The rights of the gateway's process: the user it runs as, and its capabilities.

Unless the scenario says otherwise it runs as the user who called sudo, else as the user who started
iotsim, and has no capability. Two things are granted besides, so that a program needs none for what
most gateways do: every port can be bound and ICMP echo sockets opened (by sysctls of a private
network, in another one by CAP_NET_BIND_SERVICE), and one that runs as root keeps root's right to
every file (see `privileges`).

Where iotsim itself lacks privilege the gateway runs in a user namespace, which has this one user, and
whose capabilities are worth as much as what the namespace owns: the run's private network, and
nothing of the machine.
"""

from __future__ import annotations

import os

from iotsim.capabilities import NETWORK, Capability, names_of
from iotsim.errors import MachineError
from iotsim.testbed import isolation, linux
from iotsim.testbed.users import User, find_user, may_become, sudo_user


class RightsError(MachineError):
    """The gateway cannot have the rights that it is to have, whatever the link."""

    of_link = False


def gateway_user(text: str, *, private: bool) -> User | None:
    """The user called `text`; "" is the default, and None is for whoever runs iotsim.

    `private`: in a network namespace of the run's own. LookupError if there is no such user,
    RightsError if this process may not start others' processes.
    """
    confined = _in_user_namespace(private=private)
    if not text:
        return None if confined else sudo_user()
    user = find_user(text)
    if user.uid != os.geteuid() and (confined or not may_become(user)):
        reason = f"the gateway cannot run as {user.name}: this user may not become another"
        raise RightsError(reason, "run iotsim as root")
    return user


def check_capabilities(wanted: int, *, private: bool) -> None:
    """RightsError if not all capabilities of the mask `wanted` can be had."""
    held = linux.get_capabilities()[1]
    if _in_user_namespace(private=private):
        held = wanted if private else 0
    lacking = wanted & ~held
    if lacking:
        fix = "run iotsim as root"
        if os.geteuid() == 0:
            options = " ".join(f"--cap-add {one.name}" for one in Capability if lacking & one.bit)
            fix = f"start the container with {options}"
        raise RightsError(f"the gateway cannot have {names_of(lacking)}", fix)


def capability_notes(wanted: int, *, user_namespace: bool) -> list[str]:
    """What is less than it seems of the capabilities that the gateway was given."""
    hollow = wanted & ~NETWORK
    if not user_namespace or not hollow:
        return []
    limit = "over its own user namespace only, not over this machine: run iotsim as root for that"
    return [f"the gateway has {names_of(hollow)} {limit}"]


def _in_user_namespace(*, private: bool) -> bool:
    """Whether the helper has to make one to get its other namespaces."""
    if private:
        return not isolation.may_administer()
    return not linux.has_capability(Capability.SYS_ADMIN)
