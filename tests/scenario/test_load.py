from __future__ import annotations

import math
import time
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iotsim.capabilities import Capability
from iotsim.cli.files import find_scenarios
from iotsim.errors import ScenarioError
from iotsim.match import Expression
from iotsim.scenario import (
    Overrides,
    Scenario,
    check_behaviors,
    load_scenario,
    load_scenarios,
    load_text,
)
from iotsim.scenario.load import load_document
from iotsim.scenario.loading import Loading
from iotsim.scenario.problems import Problems
from iotsim.units import DurationRange
from iotsim.wire.address import parse_address

PLACE = Path("/nowhere/test.toml")

HEAD = """\
[devices.meter]
count = 14
address = "10.77.1.1"
protocol = "sensornet"
"""

WHOLE = """\
[scenario]
format = 1
name = "All of it"
description = "Every table and key"
duration = "1m30s"
until = "duration"
seed = 7
tags = ["one", "two"]
requires = ["ping", "g++"]
tolerance = 2

[link]
kind = "tun"
name = "iot0"
address = ["10.78.0.1/16", "fd78::1/64"]
router = ["10.78.255.1", "fd78::ffff"]
mtu = 1400
isolate = "private"

[gateway]
command = ["./gw", "${devices.meter.range}", "${link.address}", "$${HOME}"]
env = { RESULTS = "${results}" }
cwd = "work"
address = "10.78.0.1"
port = 5683
ready = { log = "^ready" }
stop_signal = "int"
expect_exit = 3
user = 1000
capabilities = ["net_raw", "CAP_SYS_NICE"]
terminal = false
stdin = "open"

[devices.meter]
count = 4
address = ["10.78.1.1", "fd78::1:0-fd78::1:ff"]
protocol = ["sensornet", { name = "sensornet", port = 5601 }]
boot = { delay = "1s..2s", ramp = "10s", announce = { kind = "ACK", device = 1, seq = 0 } }

[devices.meter.signals]
temperature = { kind = "sine", mean = 20, amplitude = 5, period = "1h", noise = 0.1 }

[devices.meter.state]
reads = 0
last = ""
label = "${devices.meter.first}"
blob = "hex:0a ff"

[[devices.meter.rules]]
name = "busy"
when = { kind = "READ" }
where = "state.reads >= 2"
reply = { kind = "ERROR", error = "BUSY" }
delay = "5ms..20ms"
after = "1s"
times = 3

[[devices.meter.rules]]
when = { kind = "READ", point = { min = 0, max = 9 } }
reply = [
  { kind = "REPORT", value = "=temperature", status.alarm = true, unit = 1 },
  { kind = "REPORT", value = "=1/3", "status.quality" = "STALE" },
]
set = { reads = "=state.reads + 1", last = "seen" }

[[devices.meter.rules]]
every = "10s..20s"
jitter = "1s"
to = "10.78.0.9:5600"
send = { kind = "REPORT", device = "=device.index", seq = "=int(t)", value = "=temperature" }

[[devices.meter.rules]]
protocol = "sensornet:5601"
drop = true

[[expect]]
name = "within"
each = ["meter[0:2]", "meter[1:3]"]
receives = { kind = "READ" }
within = "5s"
severity = "warning"

[[expect]]
none = "meter 50%"
sends = { kind = "REPORT", value = 20.1 }
count = { min = 1, max = 2 }
per = "1s"

[[expect]]
device = "meter[-1]"
receives = { undecodable = true }
never = true

[[expect]]
all = "meter"
receives = {}
always = { version = 1 }

[[expect]]
any = "meter"
receives = { kind = "READ" }
count = 3

[[expect]]
gateway = { exit = 3, stdout = { contains = "a", regex = "b+", not = "c" } }
within = "9s"
"""


def loaded(text: str, place: Path = PLACE, **overrides: Any) -> Scenario:
    return load_text(text, place, overrides=Overrides(**overrides))


def told(text: str, place: Path = PLACE, **overrides: Any) -> list[str]:
    """The problems of a text, without the file's name."""
    with pytest.raises(ScenarioError) as caught:
        loaded(text, place, **overrides)
    return [str(problem).removeprefix(f"{place}:") for problem in caught.value.problems]


def test_the_smallest_scenario() -> None:
    scenario = loaded("")
    assert scenario.name == "test"
    assert scenario.fleets == scenario.expectations == ()
    assert scenario.gateway is None
    assert not scenario.seed_given
    assert scenario.duration_s == 60
    assert scenario.link.kind == "tun"
    assert scenario.link.address4 == (parse_address("10.77.0.1"), 16)
    assert scenario.link.address6 == (parse_address("fd77::1"), 64)
    assert scenario.link.router == parse_address("10.77.255.254")
    assert scenario.link.router6 == parse_address("fd77::ffff:ffff:ffff:ffff")
    assert scenario.link.broadcasts == (parse_address("10.77.255.255"),)
    assert scenario.link.isolate == "auto"


def test_every_table_and_key() -> None:
    scenario = loaded(WHOLE)
    assert (scenario.name, scenario.seed, scenario.seed_given) == ("All of it", 7, True)
    assert (scenario.duration_s, scenario.until, scenario.tolerance) == (90, "duration", 2)
    assert scenario.tags == ("one", "two")
    assert scenario.requires == ("ping", "g++")
    assert scenario.link.kind == "tun"
    assert scenario.link.mtu == 1400
    assert scenario.link.router6 == parse_address("fd78::ffff")
    gateway = scenario.gateway
    assert gateway is not None
    assert gateway.stop_signal == "SIGINT"
    assert gateway.ready is not None
    assert gateway.ready.log is not None
    assert gateway.ready.log.search("ready to go")
    assert scenario.gateway_endpoint(4) == (parse_address("10.78.0.1"), 5683)
    assert scenario.gateway_endpoint(6) is None
    assert [scenario.expand(word, Path("/r")) for word in gateway.command] == [
        *("./gw", "10.78.1.1-10.78.1.4", "10.78.0.1", "${HOME}"),
    ]
    assert scenario.expand(gateway.env["RESULTS"], Path("/r")) == "/r"
    assert (gateway.user, gateway.terminal, gateway.stdin) == ("1000", False, "open")
    assert gateway.capabilities == Capability.NET_RAW.bit | Capability.SYS_NICE.bit


def test_a_fleet_in_full() -> None:
    (fleet,) = loaded(WHOLE).fleets
    assert fleet.count == 4
    assert [block.first for block in fleet.blocks] == [
        parse_address("10.78.1.1"),
        parse_address("fd78::1:0"),
    ]
    assert [service.port for service in fleet.services] == [5600, 5601]
    assert fleet.state == {"reads": 0, "last": "", "label": "10.78.1.1", "blob": b"\x0a\xff"}
    assert fleet.boot_delay == DurationRange(1, 2)
    assert fleet.ramp_s == 10
    announcement, busy, read, report, drop = fleet.rules
    assert announcement.send[0].fields == {"kind": "ACK", "device": 1, "seq": 0}
    assert busy.where is not None
    assert (busy.delay, busy.after, busy.times) == (DurationRange(0.005, 0.02), 1, 3)
    first, second = (template.fields for template in read.reply)
    assert first["status"] == {"alarm": True}
    assert first["unit"] == "CELSIUS"
    assert isinstance(first["value"], Expression)
    assert second["status"] == {"quality": "STALE"}
    assert second["value"] == pytest.approx(1 / 3)
    assert second["value"] != 1 / 3  # it is the nearest 32-bit number
    assert isinstance(read.set["reads"], Expression)
    assert read.set["last"] == "seen"
    assert report.every == DurationRange(10, 20)
    assert (report.jitter, report.to) == (1, "10.78.0.9:5600")
    assert (drop.drop, drop.service, drop.when) == (True, 1, None)


def test_expectations_in_full() -> None:
    within, count, never, always, exact, gateway = loaded(WHOLE).expectations
    assert (within.quantifier, within.kind, within.within_s) == ("each", "within", 5)
    assert within.devices[0].indexes == (0, 1, 2)
    assert within.severity == "warning"
    assert within.place == f"{PLACE}:{WHOLE[: WHOLE.index('[[expect]]')].count(chr(10)) + 1}"
    assert (count.quantifier, count.direction) == ("none", "sends")
    assert (count.name, count.count_min, count.count_max, count.per_s) == ("expectation 2", 1, 2, 1)
    assert len(count.devices[0].indexes) == 2
    assert never.matcher is not None
    assert never.matcher.undecodable
    assert never.devices[0].indexes == range(3, 4)
    assert always.always is not None
    assert always.always.text == "version 1"
    assert (exact.count_min, exact.count_max) == (3, 3)
    asked = gateway.gateway
    assert asked is not None
    assert (asked.exit, asked.stdout_contains, gateway.within_s) == (3, "a", 9)
    assert asked.stdout_regex is not None
    assert asked.stdout_not is not None


def test_all_problems_are_told_at_once_with_their_places() -> None:
    text = HEAD.replace("count = 14", "cuont = 14") + (
        '\n[scenario]\nduration = "10"\n'
        '[[devices.meter.rules]]\nwhen = { kindd = "READ" }\nreply = { kind = "REPROT" }\n'
    )
    assert told(text) == [
        "2:1: devices.meter.cuont: unknown key (did you mean 'count'?)",
        "7:12: scenario.duration: '10' has no unit; write '10s' or '10ms'",
        "9:10: devices.meter.rules[0].when.kindd: unknown field 'kindd' (did you mean 'kind'?)",
        (
            "10:18: devices.meter.rules[0].reply.kind: 'kind' has no value named 'REPROT'"
            " (did you mean 'REPORT'?)"
        ),
    ]


def test_a_problem_does_not_make_others() -> None:
    expect = '[[expect]]\neach = "meter[13]"\nreceives = { kind = "READ" }\nwithin = "1s"\n'
    gateway = '[gateway]\ncommand = ["${devices.meter.range}"]\nready = { delay = "1s" }\n'
    for good, bad in (
        ("count = 14", "count = 1.4"),
        ("count = 14", "cuont = 14"),
        ('"10.77.1.1"', "7"),
        ('"10.77.1.1"', '"10.77.1"'),
        ('address = "10.77.1.1"', ""),
        ('"sensornet"', '"sensorent"'),
        ('["${devices', '[[3], "${devices'),
        ('"meter[13]"', '"meter[13"'),
        ('"1s" }', '"1" }'),
        ('within = "1s"', 'within = "1"'),
        ('{ kind = "READ" }', "3"),
    ):
        text = (HEAD + gateway + expect).replace(good, bad)
        assert len(told(text)) == 1, text
    link = '[link]\naddress = 7\n[devices.meter]\naddress = "10.99.1.1"\n'
    assert len(told(link)) == 1


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[scenarioo]", "1:1: scenarioo: unknown table (did you mean 'scenario'?)"),
        ("scenario = 1", "1:12: scenario: must be a table"),
        ("devices = [1]", "1:11: devices: must be a table"),
        ("[expect]\na = 1", "1:1: expect: must be a list of tables (write [[expect]])"),
        ("[scenario]\nformat = 2", "2:10: scenario.format: must be 1"),
        (
            '[scenario]\nuntil = "setled"',
            "must be 'settled', 'quiet', 'gateway_exit' or 'duration' (did",
        ),
        ("[scenario]\nseed = -1", "2:8: scenario.seed: must be greater than or equal to 0"),
        ("[scenario]\ntolerance = nan", "scenario.tolerance: must be"),
        ("[scenario]\ntolerance = 0", "scenario.tolerance: must be greater than 0"),
        (
            '[scenario]\nrequires = "ping"',
            '2:12: scenario.requires: must be a list of names of programs, such as ["ping"]',
        ),
        ("[scenario]\nrequires = [1]", "scenario.requires: must be a list of names of programs"),
        (
            '[scenario]\nrequires = ["ping", "/bin/ip"]',
            "scenario.requires: '/bin/ip' is not the name of a program on the PATH, such as 'ping'",
        ),
        ('[scenario]\nrequires = [""]', "scenario.requires: '' is not the name of a program"),
        (
            '[scenario]\nrequires = ["ping -c 1"]',
            "scenario.requires: 'ping -c 1' is not the name of a program",
        ),
        ("[scenario]\nduration = 5", "2:12: scenario.duration: 5 has no unit; write '5s' or '5ms'"),
        ('[scenario]\nduration = "0s"', "scenario.duration: must be greater than 0"),
        (
            '[scenario]\nname = "${x}"',
            "the parameter '${x}' has no value (give it by --set x=VALUE, or a",
        ),
        ('[scenario]\nname = "${devices.a.first}"', "cannot stand here"),
        ('[scenario]\nname = "${results}"', "'${results}' can only stand in [gateway]"),
        ("[matrix]\na = [1]", "matrix.a: nothing in the scenario has '${a}'"),
        ('[[step]]\nname = "ready"\nat = "1s"\nnote = "x"', "what comes when the gateway is ready"),
        ('[link]\nbridge = "br0"', "link.bridge: 'bridge' is for a tap link"),
        ('[link]\nkind = "tap"\nvlan = 5', "link.vlan: 'vlan' is for a tap link that joins"),
        (
            '[link]\nkind = "tap"\nbridge = "br0"\nisolate = "private"',
            "link.isolate: a bridge is in the host or in a named namespace",
        ),
        ('[link]\nkind = "wire"', "link.kind: must be 'tun', 'tap', 'loopback' or 'memory'"),
        ('[link]\naddress = "10.77.0.1"', "needs the length of its prefix"),
        ('[link]\naddress = "10.77.0.0/16"', "is the address of the network 10.77.0.0/16 itself"),
        ('[link]\naddress = "10.77.255.255/16"', "is the broadcast address"),
        ('[link]\naddress = "10.77.0.1/32"', "link.address: a prefix of 32 bits has no room"),
        ('[link]\naddress = "fd77::/64"', "is the routers' anycast address of fd77::/64"),
        ('[link]\naddress = "127.0.0.1/8"', "is a loopback address"),
        ('[link]\naddress = "224.0.0.1/8"', "is a multicast address"),
        ('[link]\naddress = ["10.1.0.1/16", "10.2.0.1/16"]', "link.address[1]: a second IPv4"),
        ('[link]\naddress = "fd77::1/64"\nmtu = 1000', "IPv6 needs an mtu of 1280"),
        ('[link]\nrouter = "10.78.0.1"', "lies outside of the link's prefix"),
        ('[link]\nrouter = "10.77.0.1"', "link.router: 10.77.0.1 is the gateway's own address"),
        ('[link]\nrouter = "10.77.0.0"', "10.77.0.0 is the address of the network 10.77.0.0/16"),
        ('[link]\nrouter = "10.77.255.255"', "link.router: 10.77.255.255 is the broadcast address"),
        (
            '[link]\nrouter = ["10.77.0.9", "fd77::"]',
            "link.router[1]: fd77:: is the routers' anycast address of fd77::/64",
        ),
        ('[link]\nrouter = "239.0.0.1"', "is a multicast address"),
        ('[link]\nisolate = "netns:"', "link.isolate: must"),
        ("[link]\nmtu = 20", "link.mtu: must be greater than or equal to 68"),
        ("[gateway]\ncommand = []", "gateway.command: "),
        (
            '[gateway]\ncommand = "a \\"b c\\""',
            "2:11: gateway.command: must be a list of the program",
        ),
        (
            '[gateway]\ncommand = "a b"',
            "gateway.command: must be a list of the program and its arg",
        ),
        ('[gateway]\ncommand = "a b"', 'arguments: ["a", "b"]'),
        ('[link]\nkind = "memory"\n[gateway]\ncommand = ["a"]', "no gateway process can reach"),
        (
            '[gateway]\ncommand = ["a"]\nready = "up"',
            'must be a table, such as { log = "^listening" }',
        ),
        ("[gateway]\nready = { udp = 1 }", "'ready' is for a gateway with a 'command'"),
        ('[gateway]\ncommand = ["a"]\nready = { udp = 1, tcp = 2 }', "needs one of 'log', 'udp'"),
        ('[gateway]\ncommand = ["a"]\nready = { udp = 70000 }', "gateway.ready.udp: must be"),
        ('[gateway]\ncommand = ["a"]\nready = { log = "(" }', "no regular expression"),
        ('[gateway]\ncommand = ["a"]\nstop_signal = "SIGFOO"', "not a signal that stops a process"),
        ('[gateway]\ncommand = ["a"]\nenv = { "a=b" = "c" }', "no name and value"),
        ('[gateway]\ncommand = ["a"]\nenv = { a = [1] }', "gateway.env.a: must be a text"),
        ('[gateway]\nuser = "alice"', "'user' is for a gateway with a 'command'"),
        ('[gateway]\ncommand = ["a"]\nuser = "a b"', "gateway.user: must be the name or the"),
        ('[gateway]\ncommand = ["a"]\nuser = true', "gateway.user: must be the name or the"),
        (
            '[gateway]\ncommand = ["a"]\ncapabilities = ["net_raw", "net_rwa"]',
            "gateway.capabilities[1]: there is no capability 'net_rwa'",
        ),
        ('[gateway]\ncommand = ["a"]\nterminal = 1', "gateway.terminal: must be true or false"),
        ('[gateway]\ncommand = ["a"]\nstdin = ""', "must be 'open', or the name of a file"),
        ('[gateway]\ncommand = ["${devices.x.range}"]', "unknown placeholder '${devices.x.range}'"),
        ('[gateway]\naddress = "10.77.0.1"', "'address' needs 'port', too"),
        ('[gateway]\naddress = "x"\nport = 1', "gateway.address: 'x' is no IP address"),
    ],
)
def test_problems_of_tables(text: str, problem: str) -> None:
    assert problem in "\n".join(told(text))


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ("count = 0", "devices.d.count: must be greater than or equal to 1"),
        ("count = 1000000000000", "devices.d.count: must be less than or equal to 16777216"),
        ("count = -3", "devices.d.count: must be"),
        ("count = 1.5", "devices.d.count: must be an integer"),
        ("count = true", "devices.d.count: must be an integer"),
        ('count = "3"', "devices.d.count: must be an integer"),
        ('mac = "02:00:00:00:00:01"', "devices.d.mac: 'mac' is for a tap link"),
        ('mac = "02:00"', "is no MAC address"),
        ("dhcp = true", "devices.d.dhcp: the server gives IPv4 addresses"),
        ('hops = "224.0.0.1"', "is a multicast address"),
        ('hops = ["10.77.255.1", "10.77.255.1"]', "devices.d.hops[1]: 10.77.255.1 is there twice"),
        ('hops = "10.77.0.1"', "devices.d.hops: 10.77.0.1 is the gateway's own address"),
        ('groups = "10.77.0.9"', "devices.d.groups: 10.77.0.9 is not a multicast address"),
        ('groups = "224.0.0.1"', "every device is in 224.0.0.1 by itself"),
        ("path_mtu = 3000", "devices.d.path_mtu: more than the link's mtu, 1500"),
        ("power = 1", "devices.d.power: must be a table"),
        ('power = { every = "1s" }', "devices.d.power: the key 'awake' is missing"),
        (
            'power = { every = "1s", awake = "1s" }',
            "it would never sleep: must be less than 'every'",
        ),
        ('extends = "base"', "there is no template 'base'"),
        ('extends = "d"', "extends itself"),
        ('protocol = "sensorent"', "there is no protocol 'sensorent' (did you mean 'sensornet'?"),
        ('protocol = "../evil"', "is no name of a protocol"),
        ("protocol = 3", "must be the name of a protocol"),
        ("protocol = []", "must name 1 to 64 protocols"),
        ("port = 5", "'port' is of no use without 'protocol'"),
        ('protocol = ["sensornet", "sensornet"]', "port 5600 is taken"),
        ('protocol = [{ name = "sensornet", prot = 1 }]', "unknown key (did you mean 'port'?)"),
        ('behavior = "meter.py"', "names no class in a file"),
        ('protocol = "sensornet"\nbehavior = "no.py:A"', "no.py: there is no such file"),
        ('data = "no.csv"', "no.csv: there is no such file"),
        ("rules = [{ drop = true }]", "these devices have no protocol, so they have no rules"),
        ("rules = 3", "devices.d.rules: must be a table or a list of tables"),
        ("state = { x = '=1' }", "state begins with literals"),
        ("state = { 'a b' = 1 }", "'a b' is no name for state"),
        ("state = { x = 1979-05-27 }", "a date is no value of a message"),
        ("signals = { a = 1 }", "devices.d.signals.a: must be a table"),
        ("signals = { t = { kind = 'sine', period = '1s' } }", "'t' means something else"),
        ("signals = { 'a-b' = { kind = 'noise' } }", "'a-b' is no name in expressions"),
        ("signals = { a = { kind = 'sinus' } }", "no kind of signal (did you mean 'sine'?)"),
        ("signals = { a = { kind = 'sine' } }", "the key 'period' is missing"),
        (
            "signals = { a = { kind = 'sine', period = 3 } }",
            "must be a text with a unit, such as '20ms'",
        ),
        ("signals = { a = { kind = 'sine', period = '0s' } }", "must be longer than 0s"),
        ("signals = { a = { kind = 'noise', meen = 1 } }", "(did you mean 'mean'?)"),
        ("signals = { a = { kind = 'noise', mean = nan } }", "must be a finite number"),
        ("signals = { a = { kind = 'csv', file = 'no.csv' } }", "no.csv: there is no such file"),
        ("boot = { dely = '1s' }", "devices.d.boot.dely: unknown key (did you mean 'delay'?)"),
        ("boot = { announce = {} }", "these devices have no protocol"),
        ("boot = { to = 'gateway' }", "'to' is for 'announce'"),
    ],
)
def test_problems_of_devices(keys: str, problem: str) -> None:
    assert problem in "\n".join(told(f'[devices.d]\naddress = "10.77.1.1"\n{keys}'))


@pytest.mark.parametrize(
    ("address", "problem"),
    [
        ('"10.77.1.300"', "devices.d.address: '10.77.1.300' is no IP address"),
        ('"10.78.1.1"', "10.78.1.1 lies outside of the link's 10.77.0.0/16"),
        ('"10.77.255.235"', "10.77.255.254 is the router's address"),
        ('"10.77.0.1"', "10.77.0.1 is the gateway's own address"),
        ('"10.77.0.0-10.77.0.30"', "10.77.0.0 is the address of the network 10.77.0.0/16 itself"),
        ('["10.77.1.1", "fd77::"]', "devices.d.address[1]: fd77:: is the routers' anycast address"),
        ('"10.77.1.0/28"', "20 devices do not fit into 14 addresses"),
        ('"224.0.0.1"', "is a multicast address"),
        ('"255.255.255.250"', "a reserved address"),
        ('["10.77.1.1", "10.77.1.5"]', "10.77.1.5-10.77.1.20 belongs to 'd' already"),
        ('["10.77.1.1", "fd78::1"]', "devices.d.address[1]: fd78::1 lies outside"),
        ("[]", "must be a text or a list of texts"),
        ("3", "must be a text or a list of texts"),
    ],
)
def test_problems_of_addresses(address: str, problem: str) -> None:
    assert problem in "\n".join(told(f"[devices.d]\ncount = 20\naddress = {address}"))


SMALL = '[link]\naddress = "{}"\n[devices.d]\naddress = "{}"'


@pytest.mark.parametrize(
    ("side", "device"),
    [
        ("10.77.0.0/31", "10.77.0.1"),
        ("10.77.0.1/31", "10.77.0.0"),
        ("10.77.0.1/30", "10.77.0.2"),
        ("fd77::1/127", "fd77::"),
        ("fd77::1/126", "fd77::2"),
    ],
)
def test_a_small_prefix_holds_a_gateway_and_a_device(side: str, device: str) -> None:
    scenario = loaded(SMALL.format(side, device))
    assert [block.first for block in scenario.fleets[0].blocks] == [parse_address(device)]


@pytest.mark.parametrize(
    ("side", "device", "problem"),
    [
        ("10.77.0.1/31", "10.77.0.1", "10.77.0.1 is the gateway's own address"),
        ("10.77.0.1/31", "10.77.0.2", "10.77.0.2 lies outside of the link's 10.77.0.0/31"),
        ("10.77.0.1/30", "10.77.0.3", "10.77.0.3 is the broadcast address of 10.77.0.0/30"),
        (
            "10.77.0.1/29",
            "10.77.0.6",
            "10.77.0.6 is the router's address, so no device can have it",
        ),
        ("10.77.0.1/29", "10.77.0.6", "choose another as router in [link]"),
    ],
)
def test_what_a_small_prefix_does_not_hold(side: str, device: str, problem: str) -> None:
    (found,) = told(SMALL.format(side, device))
    assert problem in found


def test_announcements_are_tried() -> None:
    text = HEAD + "boot = { announce = { kind = 'REPORT', device = 1, seq = 1 } }"
    assert told(text) == ["5:21: devices.meter.boot.announce: REPORT needs the field 'value'"]


def test_a_missing_parameter_is_told_once() -> None:
    text = """
        [devices.meter]
        count = "${n}"
        address = "10.77.1.1"
        protocol = "sensornet"
        [[devices.meter.rules]]
        reply = { kind = "ACK", seq = "${n}", device = "${m}" }
        [devices.heir]
        extends = "meter"
        address = "10.78.${n}.1"
        [[expect]]
        each = "meter[3]"
        receives = { seq = "${n}" }
        within = "${n}"
    """
    first, second = told(text)
    assert first.startswith(
        "3:17: devices.meter.count: the parameter '${n}' has no value, here and at 4 other places"
    )
    assert first.endswith("(give it by --set n=VALUE, or a default in [parameters])")
    assert second.startswith(
        "7:56: devices.meter.rules[0].reply.device: the parameter '${m}' has no value"
    )


def test_a_wrong_protocol_is_told_once() -> None:
    text = HEAD.replace("sensornet", "sensornt") + "[gateway]\ncommand = ['x', '${devices.meter."
    assert len(told(text + "port}']")) == 1
    assert len(told(text + "frst}']")) == 2


def test_what_is_no_scenario() -> None:
    twice = "[expect]\neach = 'meter'\n[expect]\neach = 'meter'\n"
    assert told(HEAD + twice)[0].endswith("duplicate key (write [[expect]] for each of several)")
    assert told("a = 1\na = 2")[0].endswith("duplicate key")
    place = Path("/nowhere/gw.py")
    (problem,) = told("import socket\n", place)
    assert "this is no scenario, which would be a TOML file" in problem


def test_fleets_must_not_overlap() -> None:
    text = HEAD + '[devices.b]\naddress = "10.77.1.14"\n[devices.c]\naddress = "10.77.1.15"\n'
    assert told(text) == ["6:11: devices.b.address: 10.77.1.14 belongs to 'meter' already"]


@pytest.mark.parametrize(
    ("rule", "problem"),
    [
        ("reply = {}", "the field 'kind' of sensornet is missing"),
        ("reply = { kind = 'REPORT', valeu = 1 }", "unknown field 'valeu' (did you mean 'value'?)"),
        ("reply = { kind = 'REPORT', value = 'x' }", "'x', but 'value' is a number"),
        ("reply = { kind = 'ACK', seq = 70000 }", "70000 does not fit 'seq', which is uint16"),
        ("reply = { kind = 'ACK', seq = '=70000 + 1' }", "70001 does not fit 'seq'"),
        ("reply = { kind = 'ACK', status = 3 }", "reply.status"),
        ("reply = { kind = 'ACK', status = { alarm = 3 } }", "3, but 'status.alarm' is true or"),
        ("reply = { kind = 'ACK', seq = '=temprature' }", "unknown name 'temprature'"),
        ("reply = { kind = 'ACK', seq = '=msg.sq' }", "the message has no field 'sq'"),
        ("reply = { kind = 'READINGS', readings = 3 }", "readings"),
        ("reply = { kind = 'READINGS', readings = [{ pont = 1 }] }", "readings[0].pont: unknown"),
        ("reply = { kind = 'ACK', status.alarm = true, 'status.alarm' = true }", "given twice"),
        ("reply = { kind = 'REPORT' }", "reply: REPORT needs the field 'value'"),
        ("reply = [{ kind = 'ACK' }, { kind = 'REPORT' }]", "reply[1]: REPORT needs the field"),
        ("reply = { kind = 'ACK', value = 1 }", "reply.value: the message has no such field here"),
        (
            "reply = { kind = 'READINGS', readings = [{ point = 1 }] }",
            "reply.readings[0]: READINGS needs the field 'readings.0.type'",
        ),
        ("reply = { kind = 'READINGS', 'readings.0.point' = 1 }", "(write readings = [...])"),
        ("reply = { kind = 'READINGS', readings.0.point = 1 }", "'readings' is of the kind array"),
        ("when = { readings.0.point = 1 }\ndrop = true", '(write "readings[0]", in quotes)'),
        ("where = 'msg.readings.0 == 1'\ndrop = true", "(write readings[0])"),
        ("send = { kind = 'REPORT', device = 1, seq = '=int(t)' }", "send: REPORT needs the field"),
        ("reply = []", "must be a table or a list of tables"),
        ("reply = { kind = 'ACK' }\ndrop = true", "either drops a message or replies"),
        ("reply = { kind = 'ACK' }\ndelay = '2s..1s'", "ends before it starts"),
        ("reply = { kind = 'ACK' }\ntimes = 0", "times: must be"),
        ("reply = { kind = 'ACK' }\nevery = '1s'", "'every' is for a rule with 'send'"),
        ("reply = { kind = 'ACK' }\nwhere = '1 +'", "where: invalid syntax"),
        ("reply = { kind = 'ACK' }\nset = { 'a b' = 1 }", "no name for state"),
        ("reply = { kind = 'ACK' }\nprotocol = 'coap'", "not a protocol of these devices"),
        ("when = { undecodable = true }\ndrop = true", "only an expectation can ask for"),
        ("when = { kind = 'READ' }", "this rule does nothing"),
        ("send = { kind = 'ACK' }", "the field 'device' of sensornet is missing"),
        ("send = { kind = 'ACK', device = '=msg.device', seq = 1 }", "there is no message here"),
        ("send = { kind = 'ACK', device = 1, seq = 1 }\nwhen = {}", "answers nothing"),
        ("send = { kind = 'ACK', device = 1, seq = 1 }\nevery = '0s'", "must be 1ms at least"),
        (
            "send = { kind = 'ACK', device = 1, seq = 1 }\nto = 'nowhere'",
            "is no address with a port",
        ),
        ("send = { kind = 'ACK', device = 1, seq = 1 }\nto = 'fd77::1:80'", "or 'gateway'"),
    ],
)
def test_problems_of_rules(rule: str, problem: str) -> None:
    assert problem in "\n".join(told(f"{HEAD}[[devices.meter.rules]]\n{rule}"))


@pytest.mark.parametrize(
    ("expect", "problem"),
    [
        ("", "one of each, any, all, none or device is missing"),
        ("each = 'meter'\nany = 'meter'", "any: 'each' is there already"),
        ("each = 'meter'", "one of receives or sends is missing"),
        ("each = 'meter'\nreceives = {}", "one of within, never, always, count,"),
        ("each = 'metre'\nreceives = {}\nnever = true", "no devices called 'metre' (did you mean"),
        ("each = 'meter[14]'\nreceives = {}\nnever = true", "there is no 'meter[14]' (the devices"),
        ("each = 'meter[9:2]'\nreceives = {}\nnever = true", "selects no devices"),
        ("each = 'meter[::0]'\nreceives = {}\nnever = true", "a step of 0"),
        ("each = 'meter[x]'\nreceives = {}\nnever = true", "has no index"),
        ("each = 'meter 200%'\nreceives = {}\nnever = true", "more than 100%"),
        ("each = '!'\nreceives = {}\nnever = true", "selects no devices"),
        ("device = 'meter'\nreceives = {}\nnever = true", "names more than one device"),
        ("each = 'meter'\nreceives = { x = 1 }\nnever = true", "receives.x: unknown field 'x'"),
        ("each = 'meter'\nreceives = {}\nnever = false", "expect[0].never: must be true"),
        ("each = 'meter'\nreceives = 'READ'\nnever = true", 'a table, such as { kind = "READ" }'),
        ("each = 'meter'\nreceives = {}\nwithin = '1s'\nper = '1s'", "'per' is for 'count'"),
        ("each = 'meter'\nreceives = {}\ncount = '3'", "must be a number, or a table such as"),
        ("each = 'meter'\nreceives = {}\ncount = {}", "needs 'min' or 'max'"),
        ("each = 'meter'\nreceives = {}\ncount = { min = 3, max = 1 }", "greater than max"),
        ("each = 'meter'\nreceives = {}\ncount = -1", "count.min: must be"),
        ("each = 'meter'\nreceives = {}\nwithin = '1s'\nseverity = 'mild'", "severity: must be"),
        ("gateway = {}", "asks nothing"),
        ("gateway = { running = true, exit = 0 }", "what is running has not exited"),
        ("gateway = { stdout = {} }", "asks nothing"),
        ("gateway = { stdout = { regex = '(' } }", "no regular expression"),
        ("gateway = { running = true }\neach = 'meter'", "says nothing about devices"),
        ("gateway = { running = true }\nwithin = '1s'", "'within' is for what 'stdout' must"),
    ],
)
def test_problems_of_expectations(expect: str, problem: str) -> None:
    assert problem in "\n".join(told(f"{HEAD}[[expect]]\n{expect}"))


def test_a_misspelled_key_is_one_problem_and_not_two() -> None:
    expect = "[[expect]]\neach = 'meter'\nrecieves = {}\nnever = true"
    assert told(HEAD + expect) == [
        "7:1: expect[0].recieves: unknown key (did you mean 'receives'?)"
    ]
    rule = "[[devices.meter.rules]]\nwhen = { kind = 'READ' }\nreplay = { kind = 'ACK' }"
    assert told(HEAD + rule) == [
        "7:1: devices.meter.rules[0].replay: unknown key (did you mean 'reply'?)"
    ]


def test_two_expectations_have_two_names() -> None:
    one = '[[expect]]\nname = "a"\neach = "meter"\nreceives = {}\nnever = true\n'
    assert "there is an expectation 'a' already" in told(HEAD + one + one)[0]


def test_overrides() -> None:
    scenario = loaded(
        WHOLE.replace('"5s"', '"${wait}"').replace("count = 4", 'count = "${n}"'),
        link="tun",
        gateway_command=("other", "${devices.meter.count}"),
        seed=9,
        tolerance=3.0,
        duration_s=12.0,
        parameters={"wait": "7s", "n": "6"},
    )
    assert scenario.link.kind == "tun"
    assert scenario.gateway is not None
    assert scenario.expand(scenario.gateway.command[1], Path()) == "6"
    assert (scenario.seed, scenario.tolerance, scenario.duration_s) == (9, 3, 12)
    assert scenario.expectations[0].within_s == 7


def test_overrides_are_checked_like_the_file() -> None:
    assert "link.kind: must be" in told("", link="wire")[0]
    assert "scenario.tolerance: must be" in told("", tolerance=math.inf)[0]
    assert "--set a: the scenario has no '${a}'" in told("", parameters={"a": "1"})[0]
    assert loaded("", gateway_command=("x",)).gateway is not None


def test_the_default_seed_is_the_callers() -> None:
    scenario = load_text("", PLACE, default_seed=5)
    assert (scenario.seed, scenario.seed_given) == (5, False)
    assert load_text("[scenario]\nseed = 3", PLACE, default_seed=5).seed == 3


def test_the_loopback_link_moves_fleets() -> None:
    text = WHOLE + '\n[devices.b]\ncount = 3\naddress = "fd78::9:1"\n'
    scenario = loaded(text, link="loopback")
    assert [(one.name, [block.first for block in one.blocks]) for one in scenario.fleets] == [
        ("meter", [parse_address("127.77.0.1")]),
        ("b", [parse_address("127.77.0.5")]),
    ]
    assert scenario.gateway_endpoint(4) == (parse_address("127.0.0.1"), 5683)
    assert scenario.expand("${devices.meter.range} ${link.address}", Path()) == (
        "127.77.0.1-127.77.0.4 127.0.0.1"
    )
    low = HEAD + "port = 500\n"
    assert "the loopback link has none below 1024" in told(low, link="loopback")[0]


def test_a_million_devices_load_at_once() -> None:
    text = """
        [link]
        address = "10.0.0.1/8"
        [devices.meter]
        count = 1_000_000
        address = "10.1.0.0"
        protocol = "sensornet"
        [[expect]]
        each = "meter[::2]"
        receives = { kind = "READ" }
        within = "5s"
    """
    loaded(HEAD)  # the protocol is loaded now
    began = time.perf_counter()
    scenario = loaded(text)
    assert time.perf_counter() - began < 0.5
    assert scenario.fleets[0].count == 1_000_000
    assert len(scenario.expectations[0].devices[0].indexes) == 500_000


def test_templates() -> None:
    text = """
        [devices.base]
        protocol = "sensornet"
        state = { a = 1, b = 2 }
        boot = { delay = "1s" }
        [[devices.base.rules]]
        name = "base"
        reply = { kind = "ACK" }
        [devices.one]
        extends = "base"
        address = "10.77.1.1"
        state = { b = 3 }
        [[devices.one.rules]]
        name = "own"
        drop = true
        [devices.two]
        extends = "one"
        address = "10.77.2.1"
    """
    one, two = loaded(text).fleets
    assert (one.name, two.name) == ("one", "two")
    assert one.state == two.state == {"a": 1, "b": 3}
    assert [rule.name for rule in two.rules] == ["own", "base"]
    assert one.boot_delay == DurationRange(1, 1)
    broken = text.replace('kind = "ACK"', 'kind = "ACCK"').replace("a = 1", "'a b' = 1")
    places = [line.split(": ")[:2] for line in told(broken)]
    assert places == [
        ["4:19", "devices.base.state.'a b'"],
        ["8:26", "devices.base.rules[0].reply.kind"],
    ]


def test_templates_in_a_circle() -> None:
    text = '[devices.a]\nextends = "b"\n[devices.b]\nextends = "a"\naddress = "10.77.1.1"\n'
    assert "extends itself" in "\n".join(told(text))
    chain = "".join(f'[devices.d{n}]\nextends = "d{n + 1}"\n' for n in range(300))
    assert "too many heirs" in "\n".join(told(chain + '[devices.d300]\naddress = "10.77.1.1"'))


def test_data_files(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("serial,offset\n0012,1.5\n7,hex:0a\n")
    text = f'{HEAD}data = "rows.csv"\n'.replace("count = 14\n", "")
    (fleet,) = loaded(text, tmp_path / "x.toml").fleets
    assert fleet.count == 2
    assert fleet.data[0] == {"serial": "0012", "offset": 1.5}
    assert fleet.data[1] == {"serial": 7, "offset": b"\x0a"}
    many = "\n".join(told(text.replace("address", "count = 3\naddress"), tmp_path / "x.toml"))
    assert "devices.meter.data: has 2 rows for 3 devices" in many
    twice = told(f"{text}state = {{ serial = 1 }}", tmp_path / "x.toml")
    assert "'serial' is a column of the data file, too" in twice[0]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "rows.csv:1: the file is empty"),
        (b"a\n", "rows.csv: has no rows under its header"),
        (b"a,b\n1,2\n1\n", "rows.csv:3: 1 cells under 2 columns"),
        (b"a,a\n1,2\n", "rows.csv:1: the column 'a' is there twice"),
        (b"a b\n1\n", "rows.csv:1: 'a b' is no name for a column"),
        (b"a\nhex:0\n", "rows.csv:2: 'hex:0' is not pairs of hexadecimal digits"),
        (b"a\n1e999\n", "rows.csv:2: 1e999 is too large"),
        (b"a\n\xff\n", "rows.csv:2: not a text in UTF-8"),
        (b'a\n"x', "rows.csv:2: "),
    ],
)
def test_problems_of_data_files(content: bytes, problem: str, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_bytes(content)
    text = HEAD.replace("count = 14\n", "") + 'data = "rows.csv"\n'
    assert problem in "\n".join(told(text, tmp_path / "x.toml"))


def test_signals_from_files(tmp_path: Path) -> None:
    (tmp_path / "day.csv").write_text("t,value\n0,1\n10,2\n")
    signals = 'signals = { level = { kind = "csv", file = "day.csv" } }\n'
    (fleet,) = loaded(HEAD + signals, tmp_path / "x.toml").fleets
    assert fleet.signals["level"].points == ((0, 1), (10, 2))
    (tmp_path / "day.csv").write_text("t,value\n0,1\n10,x\n")
    assert "day.csv:3: " in told(HEAD + signals, tmp_path / "x.toml")[0]


def test_behaviors_are_not_imported_unless_asked(tmp_path: Path) -> None:
    (tmp_path / "meter.py").write_text("raise RuntimeError('imported')\n")
    scenario = loaded(HEAD + 'behavior = "meter.py:Meter"\n', tmp_path / "x.toml")
    assert scenario.fleets[0].behavior is not None
    assert scenario.fleets[0].behavior.place.endswith("x.toml:5")
    with pytest.raises(ScenarioError, match="imported"):
        check_behaviors(scenario)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    for name, content in (("binary", b"\x00\xff\xfe"), ("latin", "é = 1".encode("latin-1"))):
        (tmp_path / name).write_bytes(content)
    (tmp_path / "secret").write_text("")
    (tmp_path / "secret").chmod(0)
    for name, said in (
        ("missing", "there is no such file"),
        ("", "this is no file"),
        ("binary", "not a text in UTF-8"),
        ("latin", "not a text in UTF-8"),
        ("a\0b", "cannot be read|no such file"),
    ):
        with pytest.raises(ScenarioError, match=said):
            load_scenario(tmp_path / name)


def test_the_bundled_scenarios_load() -> None:
    folder = Path(__file__).parents[2] / "scenarios"
    files = find_scenarios([str(folder)]).files
    assert files
    for file in files:
        assert all(scenario.expectations for scenario in load_scenarios(file))


KEYS = sorted(
    {
        *("scenario", "link", "gateway", "devices", "expect", "meter", "rules", "signals"),
        *("name", "duration", "until", "seed", "kind", "address", "router", "count", "protocol"),
        *("command", "env", "ready", "log", "port", "state", "when", "where", "reply", "delay"),
        *("set", "every", "send", "to", "times", "each", "any", "receives", "sends", "within"),
        *("never", "always", "per", "gateway", "stdout", "min", "max", "boot", "data", "extends"),
    }
)
scalars = (
    st.none().map(lambda _: "meter")
    | st.booleans()
    | st.integers(-(10**15), 10**15)
    | st.floats()
    | st.text(max_size=10)
    | st.sampled_from(
        [
            *("10.77.1.1", "10.77.0.0/16", "fd77::5", "1s", "sensornet", "=t", "=msg.seq", "READ"),
            *("${devices.meter.range}", "${x}", "tun", "memory", "meter[0]", "meter 5%", "base"),
        ]
    )
    | st.just(date(2026, 1, 1))
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=4), inner, max_size=4)
    ),
    max_leaves=12,
)


def is_mended(base: dict[str, Any], path: list[str], value: Any) -> dict[str, Any]:
    """`base` with `value` at `path`."""
    inner: Any = base
    for key in path[:-1]:
        following = inner.get(key)
        if isinstance(following, list) and following and isinstance(following[0], dict):
            following = following[0]
        if not isinstance(following, dict):
            following = inner[key] = {}
        inner = following
    inner[path[-1]] = value
    return base


def sound() -> dict[str, Any]:
    return {
        "scenario": {"name": "x"},
        "link": {"kind": "memory"},
        "gateway": {"command": ["a"], "port": 5},
        "devices": {
            "meter": {
                "address": "10.77.1.1",
                "count": 3,
                "protocol": "sensornet",
                "signals": {"level": {"kind": "sine", "period": "1s"}},
                "rules": [{"when": {"kind": "READ"}, "reply": {"kind": "REPORT", "value": 1}}],
            }
        },
        "expect": [{"each": "meter", "receives": {"kind": "READ"}, "within": "1s"}],
    }


PATHS = [
    *(["scenario"], ["scenario", "duration"], ["link", "address"], ["link", "router"], ["devices"]),
    *(["gateway", "command"], ["gateway", "ready"], ["devices", "meter"], ["expect"], ["gateway"]),
    *(["devices", "meter", key] for key in ("address", "count", "protocol", "rules", "signals")),
    *(["devices", "meter", key] for key in ("state", "boot", "data", "behavior", "extends")),
    *(["devices", "meter", "rules", key] for key in ("when", "where", "reply", "set", "delay")),
    *(["devices", "meter", "rules", "reply", key] for key in ("kind", "value", "status", "seq")),
    *(["devices", "meter", "signals", "level", key] for key in ("kind", "period", "mean")),
    *(["expect", key] for key in ("each", "receives", "within", "count", "gateway", "always")),
    *(["expect", "receives", key] for key in ("kind", "value", "undecodable")),
]


@settings(max_examples=250, deadline=2000)
@given(st.sampled_from(PATHS), values)
def test_any_value_at_any_key_is_loaded_or_refused(path: list[str], value: Any) -> None:
    document = is_mended(sound(), list(path), value)
    problems = Problems("test.toml")
    scenario = load_document(document, PLACE, Loading(problems, Overrides(), 1))
    try:
        problems.raise_any()
    except ScenarioError as error:
        assert str(error)  # noqa: PT017
    else:
        assert scenario.path == PLACE


@settings(max_examples=60, deadline=2000)
@given(st.dictionaries(st.sampled_from(KEYS), values, max_size=5))
def test_any_document_is_loaded_or_refused(document: dict[str, Any]) -> None:
    problems = Problems("test.toml")
    scenario = load_document(document, PLACE, Loading(problems, Overrides(), 1))
    if not problems:
        assert scenario is not None


def test_one_port_is_given_once() -> None:
    text = "[devices.a]\naddress = '10.77.1.1'\nport = 1\n"
    text += "protocol = { name = 'sensornet', port = 2 }"
    assert told(text) == ["4:34: devices.a.protocol.port: 'port' stands beside 'protocol', too"]


def test_handlers_are_held_against_the_protocol_when_asked(tmp_path: Path) -> None:
    handler = "    @on(knd='READ')\n    def read(self, request): ...\n"
    (tmp_path / "odd.py").write_text(
        "from iotsim import Device, on\nclass Odd(Device):\n" + handler
    )
    path = tmp_path / "odd.toml"
    path.write_text(HEAD + 'behavior = "odd.py:Odd"\n')
    with pytest.raises(ScenarioError, match="unknown field 'knd' \\(did you mean 'kind'"):
        check_behaviors(load_scenario(path))


@pytest.mark.parametrize("tag", ["", "not", "and", "a b", "ü", "-x", "(", "a" * 101])
def test_what_is_no_tag(tmp_path: Path, tag: str) -> None:
    path = tmp_path / "a.toml"
    path.write_text(f"[scenario]\ntags = ['{tag}']\n")
    with pytest.raises(ScenarioError, match=r"a\.toml:2:8: scenario\.tags: .* is no tag"):
        load_scenario(path)


@pytest.mark.parametrize("name", [" ", "\\t", "\u3000", "${word}"])
def test_a_name_must_be_seen(tmp_path: Path, name: str) -> None:
    path = tmp_path / "a.toml"
    path.write_text(f'[scenario]\nname = "{name}"\n[parameters]\nword = " "\n')
    with pytest.raises(
        ScenarioError, match=r"a\.toml:2:8: scenario\.name: contains nothing that anybody"
    ):
        load_scenario(path)


def test_a_limit_and_a_tolerance_of_the_project_are_for_files_that_have_none(
    tmp_path: Path,
) -> None:
    overrides = Overrides(default_limit_s=9, default_tolerance=3)
    path = tmp_path / "a.toml"
    path.write_text("[scenario]\n")
    plain = load_scenario(path, overrides=overrides)
    assert (plain.limit_s, plain.tolerance) == (9, 3)
    assert load_scenario(path).limit_s is None
    path.write_text("[scenario]\nlimit = '4s'\ntolerance = 2\n")
    own = load_scenario(path, overrides=overrides)
    assert (own.limit_s, own.tolerance) == (4, 2)
    assert load_scenario(path, overrides=replace(overrides, limit_s=1)).limit_s == 1


def test_protocols_of_the_project_are_found(tmp_path: Path) -> None:
    (tmp_path / "wire").mkdir()
    (tmp_path / "wire" / "mine.py").write_text(
        "from construct import Int8ub, Struct\nfrom iotsim import Protocol\n"
        "PROTOCOL = Protocol(name='mine', port=1, message=Struct('kind' / Int8ub))\n"
    )
    path = tmp_path / "scenarios" / "a.toml"
    path.parent.mkdir()
    path.write_text("[devices.m]\naddress = '10.77.1.1'\nprotocol = 'mine'\n")
    with pytest.raises(ScenarioError, match="no protocol 'mine'"):
        load_scenario(path)
    overrides = Overrides(protocols=(tmp_path / "wire",))
    (fleet,) = load_scenario(path, overrides=overrides).fleets
    assert fleet.services[0].protocol.name == "mine"
