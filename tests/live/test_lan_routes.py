"""Gateways elsewhere: behind routing, on an interface that stays, in a namespace with a name."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.live.conftest import NetHost, OrdinaryUser, Simulated

    MakeHost = Callable[[], NetHost]
    Serve = Callable[..., Simulated]

pytestmark = pytest.mark.needs("root", "tun", "ip")

METERS = """
[link]
{link}

[devices.meter]
count = 5
address = ["10.77.1.1", "fd77::1:1"]
protocol = "sensornet"
"""
IOTSIM = f"{sys.executable} -m iotsim"


def notes(run: Simulated) -> list[str]:
    return [event["text"] for event in run.events("note")]


@pytest.mark.needs("ping", "sysctl", "traceroute")
def test_a_gateway_on_another_machine_reaches_the_devices_by_the_route_that_is_told(
    net_hosts: MakeHost, serve: Serve
) -> None:
    machine, gateway = net_hosts(), net_hosts()
    machine.plug("lan", gateway, "eth0")
    machine("sysctl -qw net.ipv4.ip_forward=0; ip addr add 192.0.2.1/24 dev lan")
    gateway("ip addr add 192.0.2.9/24 dev eth0")
    machine("ip addr add 2001:db8::1/64 dev lan nodad")
    gateway("ip addr add 2001:db8::9/64 dev eth0 nodad")
    run = serve(machine, METERS.format(link=""))
    told = notes(run)
    hint = "on a gateway elsewhere: "
    routes = [text.removeprefix(hint).partition(" (")[0] for text in told if hint in text]
    assert routes == [
        "ip route add 10.77.1.0/29 via 192.0.2.1",
        "ip -6 route add fd77::1:0/125 via 2001:db8::1",
    ]
    switches = [text.partition("; sudo ")[2].partition(" lets")[0] for text in told if "; " in text]
    assert switches == [
        "sysctl -w net.ipv4.ip_forward=1",
        "sysctl -w net.ipv6.conf.all.forwarding=1",
    ]
    for route in routes:
        gateway(route)
    gateway("ping -c 1 -W 1 10.77.1.2", fails=True)
    for switch in switches:
        machine(switch)
    assert " 0% packet loss" in gateway("ping -c 3 -i 0.1 10.77.1.2")
    assert " 0% packet loss" in gateway("ping -c 3 -i 0.1 fd77::1:2")
    assert " 0% packet loss" in gateway("ping -c 1 -s 8000 10.77.1.3")
    hops = gateway("traceroute -n -I -q 1 10.77.1.2").splitlines()[1:]
    assert [hop.split()[1] for hop in hops] == ["192.0.2.1", "10.77.1.2"]
    run.end()


@pytest.mark.needs("sysctl")
def test_with_forwarding_on_nothing_is_said_about_it(net_hosts: MakeHost, serve: Serve) -> None:
    machine = net_hosts()
    machine("ip link add lan type dummy 2>/dev/null || ip tuntap add lan mode tap")
    machine("ip link set lan up; ip addr add 192.0.2.1/24 dev lan")
    machine("sysctl -qw net.ipv4.ip_forward=1")
    run = serve(machine, METERS.format(link=""))
    assert not any("forward" in text for text in notes(run))
    assert "10.77.0.0/16 dev iotsim0" in machine("ip route")
    run.end()
    assert "iotsim0" not in machine("ip link")


@pytest.mark.needs("userns", "ping")
def test_an_interface_that_stays_is_used_without_root(
    net_hosts: MakeHost, ordinary_user: OrdinaryUser
) -> None:
    machine = net_hosts()
    told = machine(f"{IOTSIM} link create dev0 --owner {ordinary_user.uid}")
    link = told.partition("[link]\n")[2]
    assert 'name = "dev0"\nisolate = "host"\n' in link
    (ordinary_user.home / "meters.toml").write_text(METERS.format(link=link))
    script = (
        f"{IOTSIM} run meters.toml --serve --out out & "
        "for n in 1 2 3 4 5 6 7 8 9; do ping -q -c 1 -W 1 10.77.1.2 && break; done; "
        "ping -q -c 2 -i 0.2 fd77::1:3; id -u; "
        f"{IOTSIM} run meters.toml --serve --out second; echo status $?; "
        "kill -INT $!; wait $!; echo ended $?"
    )
    words = ordinary_user.words("sh", "-c", script)
    process = machine.start(
        "sh", "-c", 'exec "$@"', "sh", *words, env=ordinary_user.environment, stdout=-1, stderr=-2
    )
    output = process.communicate(timeout=60)[0]
    assert " 0% packet loss" in output, output
    assert f"\n{ordinary_user.uid}\n" in output
    assert "the interface dev0 is in use by another program" in output
    assert "status 3" in output
    assert "ended 0" in output or "ended 5" in output, output
    assert "dev0" in machine("ip link")
    machine(f"{IOTSIM} link delete dev0")
    assert "dev0" not in machine("ip link")
    assert "there is no interface called dev0" in machine(f"{IOTSIM} link delete dev0", fails=True)


@pytest.mark.needs("userns")
def test_what_an_interface_that_stays_lacks_is_named(
    net_hosts: MakeHost, ordinary_user: OrdinaryUser
) -> None:
    machine = net_hosts()
    machine(f"{IOTSIM} link create dev0 --owner {ordinary_user.uid} --address 10.99.0.1/16")
    link = 'name = "dev0"\nisolate = "host"'
    (ordinary_user.home / "meters.toml").write_text(METERS.format(link=link))
    words = ordinary_user.words("sh", "-c", f"{IOTSIM} run meters.toml --serve --out out")
    process = machine.start(*words, env=ordinary_user.environment, stdout=-1, stderr=-2)
    output = process.communicate(timeout=60)[0]
    assert process.returncode == 3
    assert "10.77.0.1/16 cannot be an address of dev0" in output
    assert "fix: sudo ip address add 10.77.0.1/16 dev dev0" in output


@pytest.mark.needs("userns")
def test_an_interface_of_another_user_is_refused(
    net_hosts: MakeHost, ordinary_user: OrdinaryUser
) -> None:
    machine = net_hosts()
    machine(f"{IOTSIM} link create dev0 --owner root")
    link = 'name = "dev0"\nisolate = "host"'
    (ordinary_user.home / "meters.toml").write_text(METERS.format(link=link))
    words = ordinary_user.words("sh", "-c", f"{IOTSIM} run meters.toml --serve --out out")
    process = machine.start(*words, env=ordinary_user.environment, stdout=-1, stderr=-2)
    assert "the interface dev0 belongs to another user" in process.communicate(timeout=60)[0]


def test_nothing_is_left_behind_when_an_interface_cannot_be_made(net_hosts: MakeHost) -> None:
    machine = net_hosts()
    machine("ip tuntap add lan mode tap; ip link set lan up; ip addr add 10.77.0.9/16 dev lan")
    told = machine(f"{IOTSIM} link create dev0 --owner root", fails=True)
    assert "10.77.0.0/16 overlaps 10.77.0.0/16, which this machine routes to lan" in told
    assert "dev0" not in machine("ip link")
    assert "there is no user called" in machine(
        f"{IOTSIM} link create dev0 --owner x-y", fails=True
    )


@pytest.mark.needs("ping")
def test_devices_stand_in_a_namespace_with_a_name(net_hosts: MakeHost, serve: Serve) -> None:
    machine = net_hosts()
    machine("ip netns add lab; ip -n lab link set lo up")
    run = serve(machine, METERS.format(link='isolate = "netns:lab"'))
    assert " 0% packet loss" in machine("ip netns exec lab ping -c 2 -i 0.1 10.77.1.5")
    assert "iotsim0" not in machine("ip link")
    run.end()
    assert "iotsim0" not in machine("ip -n lab link")
