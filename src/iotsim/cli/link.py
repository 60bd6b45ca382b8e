"""``iotsim link``: interfaces that root makes once, for runs of an ordinary user."""

from __future__ import annotations

import sys
from typing import Annotated, Literal

import cyclopts

from iotsim.cli.app import EXIT_ERROR

app = cyclopts.App(name="link", help="Make and remove interfaces that are used without root.")

DEFAULT_ADDRESSES = ("10.77.0.1/16", "fd77::1/64")


@app.command
def create(
    name: str,
    /,
    *,
    owner: str,
    kind: Literal["tun", "tap"] = "tun",
    address: Annotated[list[str] | None, cyclopts.Parameter(negative=())] = None,
    mtu: int = 1500,
    bridge: str = "",
) -> int:
    """Make an interface that stays until it is deleted, or the machine starts anew.

    Runs that name it ([link] name = "NAME", isolate = "host") need no privilege. Say the same here as
    there.

    Parameters
    ----------
    name
        The interface's name.
    owner
        The user, by name or number, who may run scenarios on it.
    kind
        'tun', or 'tap' for an Ethernet.
    address
        The machine's own address on it, with its prefix; may be given once for IPv4 and once for
        IPv6. Default: those that a scenario has by default.
    mtu
        In bytes.
    bridge
        The bridge that a tap joins. It has no address of its own then.
    """
    from iotsim.testbed.persistent import create_interface
    from iotsim.units import parse_interface

    if bridge and (kind != "tap" or address):
        print("iotsim: --bridge is for --kind tap, without --address", file=sys.stderr)
        return EXIT_ERROR
    addresses = []
    for text in address or DEFAULT_ADDRESSES:
        try:
            number, length = parse_interface(text)
        except ValueError as error:
            print(f"iotsim: --address {text}: {error}", file=sys.stderr)
            return EXIT_ERROR
        addresses.append((int(number), length))
    notes = create_interface(
        name, kind=kind, owner=owner, addresses=addresses, mtu=mtu, bridge=bridge
    )
    for note in notes:
        print(note)
    where = f"a port of {bridge}" if bridge else ", ".join(address or DEFAULT_ADDRESSES)
    print(f"{name} is there ({kind}, {where}), for {owner}. In the scenario:")
    print(f'\n[link]\nname = "{name}"\nisolate = "host"')
    if kind != "tun":
        print(f'kind = "{kind}"')
    if bridge:
        print(f'bridge = "{bridge}"')
    elif address:
        print(f"address = [{', '.join(f'{text!r}' for text in address)}]".replace("'", '"'))
    if mtu != 1500:
        print(f"mtu = {mtu}")
    return 0


@app.command
def delete(name: str, /) -> int:
    """Remove an interface that ``iotsim link create`` made.

    Parameters
    ----------
    name
        The interface's name.
    """
    from iotsim.testbed.persistent import delete_interface

    delete_interface(name)
    return 0
