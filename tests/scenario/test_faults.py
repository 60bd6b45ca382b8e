"""What a scenario says of faults, and what of it is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from iotsim.errors import ScenarioError
from iotsim.impair import fault as f
from iotsim.protocol.anyvalue import WRONG
from iotsim.scenario import load_text
from iotsim.units import DurationRange

PLACE = Path("/nowhere/test.toml")
METERS = """
[scenario]
name = "x"
duration = "60s"
[devices.meter]
count = 4
address = ["10.77.1.1", "fd77::1:1"]
protocol = "sensornet"
signals = { level = { kind = "constant", value = 1 } }
[devices.mute]
address = "10.77.2.1"
[devices.bulb]
address = "10.77.3.1"
protocol = "tplink"
[devices.pair]
address = "10.77.4.1"
protocol = ["sensornet", { name = "coap", port = 5683 }]
[[fault]]
"""


def loaded(text: str) -> Any:
    scenario = load_text(METERS + text, PLACE)
    return scenario.faults[-1]


def told(text: str) -> str:
    with pytest.raises(ScenarioError) as caught:
        load_text(METERS + text, PLACE)
    return "\n".join(str(problem).removeprefix(f"{PLACE}:") for problem in caught.value.problems)


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("offline = true", f.Offline()),
        ("mute = true", f.Mute()),
        ('at = "1s"\nreboot = true', f.Reboot()),
        ('at = "1s"\nreboot = { down = "2s" }', f.Reboot(2.0)),
        ("freeze = true", f.Freeze()),
        ('freeze = ["level"]', f.Freeze(("level",))),
        ('freeze = "level"', f.Freeze(("level",))),
        ('stale = "30s"', f.StaleSignals(30.0)),
        ('clock_skew = { offset = "-5s", drift = "200ppm" }', f.ClockSkew(-5.0, 200e-6)),
        ('clock_skew = { drift = "-1%" }', f.ClockSkew(0.0, -0.01)),
        ('slow = "2s..3s"', f.Slow(DurationRange(2.0, 3.0))),
        ("repeat = 2", f.Repeat(2)),
        ("truncate = 4", f.Truncate(4)),
        ('extra = "hex:00 00"', f.Extra(b"\0\0")),
        ('raw = "hex:ff"', f.Raw(b"\xff")),
        ('raw = "hex:"', f.Raw(b"")),
        ('devices = "meter"\nerror = "BUSY"', f.Refuse("BUSY")),
        ('sleep = { every = "60s", awake = "2s" }', f.Sleep(60.0, 2.0)),
        ('devices = "meter"\nrebind = { port = 5700 }', f.Rebind((), 5700)),
        (
            'devices = "meter"\nrebind = { address = "10.77.9.9" }',
            f.Rebind(((10 << 24) + (77 << 16) + (9 << 8) + 9,), 0),
        ),
    ],
)
def test_each_kind(text: str, spec: Any) -> None:
    assert loaded(text).spec == spec


def test_malformed_fields_are_literals_expressions_and_what_is_wrong() -> None:
    text = (
        'devices = "meter"\nmalform = { value = -999, crc = "wrong",'
        ' "status.alarm" = "=not msg.status.alarm", magic = "hex:00 00", "readings[1].point" = 300 }'
    )
    values = loaded(text).spec.values
    assert values["status.alarm"].text == "not msg.status.alarm"
    del values["status.alarm"]
    assert values == {"value": -999, "crc": WRONG, "magic": b"\0\0", "readings.1.point": 300}


def test_toml_makes_tables_of_dotted_keys() -> None:
    assert loaded('devices = "meter"\nmalform.status.alarm = true').spec.values == {
        "status.alarm": True
    }


def test_a_fault_is_for_the_protocols_that_have_its_fields_or_errors() -> None:
    assert set(loaded("malform = { crc = 'wrong' }").entry.tests) == {
        ("meter", 0, "from_device"),
        ("pair", 0, "from_device"),
    }
    assert set(loaded('error = "NOT_FOUND"').entry.tests) == {("pair", 1, "to_device")}


def test_an_offline_fleet_needs_no_protocol() -> None:
    assert loaded('devices = "mute"\noffline = true').entry.devices == {"mute": range(1)}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "it does nothing: give it one of offline, mute,"),
        ("offlin = true", "unknown key (did you mean 'offline'?)"),
        ("offline = true\nmute = true", "'offline' is there already: a fault is of one kind"),
        ("offline = false", "must be true"),
        (
            "offline = true\nfirst = 1",
            "'offline' is about no messages (at, for, between and after say when)",
        ),
        ("offline = true\nwhen = { kind = 'READ' }", "'offline' is about no messages"),
        ("reboot = true", "it does not say when: give it 'at', 'after' or 'when'"),
        ("reboot = true\nat = '1s'\nfor = '2s'", "a reboot is over when the device is up again"),
        ("reboot = 1\nat = '1s'", "must be true, or a table such as"),
        ("at = '60s'\noffline = true", "it would never be in force"),
        (
            "devices = 'metre'\noffline = true",
            "there are no devices called 'metre' (did you mean 'meter'?)",
        ),
        ("freeze = ['levl']", "there is no signal 'levl' (did you mean 'level'?)"),
        ("freeze = []", "must be true, or names of signals"),
        ("stale = 5", "5 has no unit"),
        ("clock_skew = {}", "it does nothing: give it 'offset' or 'drift'"),
        ("clock_skew = { drift = '2' }", "must be a text such as '200ppm'"),
        ("clock_skew = { drift = '2000000ppm' }", "cannot gain a second in a second"),
        ("clock_skew = { offset = '--5s' }", "'-5s' is no duration"),
        ("slow = 2", "2 has no unit"),
        ("repeat = 0", "fault[0].repeat: must be greater than or equal to 1"),
        ("extra = '00'", "is not bytes; write them as 'hex:0a ff'"),
        ("raw = 'hex:0'", "is not pairs of hexadecimal digits"),
        (
            "devices = 'meter'\nerror = 'BUSI'",
            "sensornet has no error 'BUSI' (did you mean 'BUSY'?)",
        ),
        ("devices = 'meter'\nerror = 'x'", "(it has MALFORMED, BAD_LENGTH, BAD_CRC,"),
        ("devices = 'bulb'\nerror = 'x'", "tplink declares no error replies"),
        (
            "devices = 'mute'\nerror = 'x'",
            "these devices have no protocol, so they have no messages",
        ),
        (
            "devices = 'meter'\nwhen = { kid = 1 }\nmute = true",
            "fault[0].when.kid: unknown field 'kid'",
        ),
        ("sleep = { every = '2s', awake = '2s' }", "it would never sleep"),
        ("sleep = { every = '2s' }", "the key 'awake' is missing"),
        ("devices = 'meter'\nrebind = {}", "it does nothing: give it 'address' or 'port'"),
        ("rebind = { port = 5700 }", "it is for devices of several fleets"),
        (
            "devices = 'pair'\nrebind = { port = 5700 }",
            "'pair' has 2 protocols, and one port is given",
        ),
        ("devices = 'meter'\nrebind = { port = 5600 }", "port 5600 is where 'meter' is already"),
        (
            "devices = 'meter'\nrebind = { address = '10.77.3.1' }",
            "is an address of 'bulb' already",
        ),
        (
            "devices = 'meter'\nrebind = { address = '10.77.2.254' }",
            "is an address of 'bulb' already",
        ),
        ("devices = 'meter'\nrebind = { address = '10.78.1.1' }", "lies outside of the link's"),
        ("devices = 'meter'\nrebind = { address = '10.77.0.1' }", "is the gateway's own address"),
        (
            "devices = 'bulb'\nrebind = { address = 'fd77::9' }",
            "no address of the version of IP of fd77::9",
        ),
        (
            "devices = 'meter'\nrebind = { address = ['10.77.9.1', '10.77.9.2'] }",
            "of the same version of IP",
        ),
        ("devices = 'meter'\nrebind = { address = 'x' }", "fault[0].rebind.address"),
        ("devices = 'meter'\nmalform = {}", "it does nothing: name fields"),
        (
            "devices = 'meter'\nmalform = { valu = 1 }",
            "unknown field 'valu' of sensornet (did you mean 'value'?)",
        ),
        ("devices = 'meter'\nmalform = { value = 'x' }", "cannot be written: it is a number"),
        ("devices = 'meter'\nmalform = { value = '=nothing' }", "unknown name 'nothing'"),
        ("devices = 'meter'\nmalform = { value = '=msg.valu' }", "the message has no field 'valu'"),
        (
            "devices = 'meter'\nmalform = { device = 'wrong' }",
            "cannot be written: it is not computed",
        ),
        ("devices = 'meter'\nmalform = { magic = 'hex:0' }", "is not pairs of hexadecimal digits"),
        ("devices = 'meter'\nmalform = { status = {} }", "must be a value, not a table"),
        (
            "name = 'a'\nmute = true\n[[fault]]\nname = 'a'\nmute = true",
            "there is another called 'a'",
        ),
        (
            "devices = 'meter'\nrepeat = 200\n[[fault]]\ndevices = 'meter'\nrepeat = 200",
            "fault[1].repeat: with those before it a message of 'meter' leaves 40401 times",
        ),
        ("after = 'nothing'\nmute = true", "nothing is called 'nothing'"),
    ],
)
def test_problems(text: str, problem: str) -> None:
    assert problem in told(text)


def test_all_that_is_wrong_with_malformed_fields_is_told() -> None:
    for devices in ("meter", "meter[9]"):
        found = told(f"devices = '{devices}'\nmalform = {{ valeu = 3, seqq = 4, status = {{}} }}")
        assert "unknown field 'valeu' of sensornet (did you mean 'value'?)" in found
        assert "unknown field 'seqq' of sensornet (did you mean 'seq'?)" in found
        assert "must be a value, not a table" in found
        assert ("there is no 'meter[9]'" in found) == (devices == "meter[9]")


@pytest.mark.parametrize("kind", ["tun", "loopback"])
def test_on_loopback_addresses_are_not_the_scenarios(kind: str) -> None:
    text = (
        f"[link]\nkind = '{kind}'\n[devices.meter]\naddress = '10.77.1.1'\nprotocol = 'sensornet'\n"
        "[[fault]]\nrebind = { address = '10.77.9.9' }\n"
    )
    if kind == "tun":
        load_text(text, PLACE)
    else:
        with pytest.raises(
            ScenarioError, match="'meter' is on loopback, so that it cannot be given"
        ):
            load_text(text, PLACE)


def test_a_step_brings_a_fault_for_its_devices() -> None:
    text = (
        "mute = true\n[[step]]\nname = 'worn'\nat = '5s'\ndevices = 'meter[0]'\n"
        "fault = { offline = true, for = '2s' }\n"
    )
    scenario = load_text(METERS + text, PLACE)
    entry = scenario.faults[-1].entry
    assert (entry.after, entry.name, entry.end_s) == ("worn", "worn", 2.0)
    assert entry.devices == {"meter": range(1)}
    assert "a fault is of one kind" in told(text.replace("for =", "mute = true, for ="))


def test_another_entry_changes_no_identity() -> None:
    slow = 'devices = "meter"\nslow = "1s..2s"\n'
    alone = loaded(slow).entry.identity
    assert loaded("mute = true\n[[fault]]\n" + slow).entry.identity == alone
