"""A name that an expression cannot know is told when the file is loaded, wherever it stands."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from iotsim.errors import ScenarioError
from iotsim.scenario import load_text

if TYPE_CHECKING:
    from pathlib import Path

DEVICES = """
[devices.meter]
count = 2
address = "10.77.1.1"
protocol = "sensornet"
data = "rows.csv"
[devices.meter.state]
reads = 0
limits = { low = 1 }
[devices.meter.signals]
temperature = { kind = "constant", value = 20 }
[devices.pump]
address = "10.77.2.1"
protocol = "sensornet"
state = { reads = 0, strokes = 0 }
[[devices.pump.rules]]
reply = { kind = "ACK" }
"""
RULE = "[[devices.meter.rules]]\n"
REPLY = 'reply = { kind = "REPORT", value = 1 }\n'
EXPECT = '[[expect]]\neach = "meter"\nreceives = { kind = "READ" }\n'
PLACES = {
    "devices.meter.rules[0].where": RULE + REPLY + "where = 'EXPRESSION'\n",
    "devices.meter.rules[0].when.seq": RULE + REPLY + "when = { seq = '=EXPRESSION' }\n",
    "devices.meter.rules[0].reply.value": RULE
    + "reply = { kind = 'REPORT', value = '=EXPRESSION' }\n",
    "devices.meter.rules[0].reply[1].value": (
        RULE + "reply = [{ kind = 'ACK' }, { kind = 'REPORT', value = '=EXPRESSION' }]\n"
    ),
    "devices.meter.rules[0].set.reads": RULE + "set = { reads = '=EXPRESSION' }\n",
    "devices.meter.rules[0].send.value": (
        RULE + "send = { kind = 'REPORT', device = 1, seq = 1, value = '=EXPRESSION' }\n"
    ),
    "devices.meter.boot.announce.value": (
        "[devices.meter.boot]\n"
        "announce = { kind = 'REPORT', device = 1, seq = 1, value = '=EXPRESSION' }\n"
    ),
    "expect[0].receives.seq": (
        "[[expect]]\neach = 'meter'\nreceives = { seq = '=EXPRESSION' }\nnever = true\n"
    ),
    "expect[0].receives.seq.not": (
        "[[expect]]\neach = 'meter'\nreceives = { seq = { not = '=EXPRESSION' } }\nnever = true\n"
    ),
    "expect[0].sends.seq.any[0]": (
        RULE
        + REPLY
        + "[[expect]]\nall = 'meter'\nsends = { seq = { any = ['=EXPRESSION'] } }\ncount = 1\n"
    ),
    "expect[0].always.seq": EXPECT + "always = { seq = '=EXPRESSION' }\n",
}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "rows.csv").write_text("serial,level\n1,2\n3,4\n")
    (tmp_path / "pump.py").write_text("from iotsim import Device\nclass Pump(Device):\n    pass\n")
    return tmp_path / "test.toml"


def told(text: str, place: Path) -> list[str]:
    with pytest.raises(ScenarioError) as caught:
        load_text(text, place)
    return [re.sub(r"^[^ ]+:\d+: ", "", str(problem)) for problem in caught.value.problems]


@pytest.mark.parametrize("where", PLACES)
@pytest.mark.parametrize(
    ("expression", "problem"),
    [
        ("state.raeds", "the state has no 'raeds', in '=state.raeds' (did you mean 'reads'?)"),
        ('state["levl"] + 1', "the state has no 'levl', in '=state[\"levl\"] + 1' (did you mean"),
        (
            "state.zzz",
            "the state has no 'zzz', in '=state.zzz' (give it a first value in 'state')",
        ),
        ("device.nmae", "a device has no 'nmae', in '=device.nmae' (did you mean 'name'?)"),
        ("temprature", "unknown name 'temprature', in '=temprature' (did you mean 'temperature'?)"),
        ("mssg.seq", "only msg, request, state and device have attributes"),
    ],
)
def test_unknown_names(where: str, expression: str, problem: str, place: Path) -> None:
    (found,) = told(DEVICES + PLACES[where].replace("EXPRESSION", expression), place)
    assert found.startswith(f"{where.split('.not')[0].split('.any')[0]}")
    assert problem in found


@pytest.mark.parametrize("where", PLACES)
@pytest.mark.parametrize(
    "expression",
    ["state.reads", 'state["level"]', "state.limits.low", "device.index", "temperature"],
)
def test_known_names(where: str, expression: str, place: Path) -> None:
    load_text(DEVICES + PLACES[where].replace("EXPRESSION", expression), place)


@pytest.mark.parametrize("where", [where for where in PLACES if "announce" not in where])
def test_unknown_fields_of_messages(where: str, place: Path) -> None:
    (found,) = told(DEVICES + PLACES[where].replace("EXPRESSION", "msg.seqq"), place)
    if ".send." in where:
        assert "there is no message here, so no 'msg'" in found
    else:
        assert "the message has no field 'seqq', in '=msg.seqq' (did you mean 'seq'?)" in found


def test_state_that_is_only_set(place: Path) -> None:
    text = DEVICES + RULE + "set = { seen = '=state.seen + 1' }\n"
    assert told(text, place) == [
        "devices.meter.rules[0].set.seen: the state has no 'seen' (give it a first value in 'state')"
    ]
    assert told(DEVICES + RULE + "set = { raeds = 1 }\n", place) == [
        "devices.meter.rules[0].set.raeds: the state has no 'raeds' (did you mean 'reads'?)"
    ]


def test_a_behavior_may_add_to_the_state(place: Path) -> None:
    text = DEVICES.replace(
        "[[devices.pump.rules]]", 'behavior = "pump.py:Pump"\n[[devices.pump.rules]]'
    )
    load_text(text + "set = { seen = '=state.anything' }\n", place)
    load_text(
        text + EXPECT.replace("meter", "pump") + "always = { seq = '=state.anything' }", place
    )


def test_of_several_fleets_a_name_must_be_known_in_each(place: Path) -> None:
    def expecting(expression: str) -> str:
        return (
            DEVICES + '[[expect]]\neach = ["meter", "pump"]\nreceives = { kind = "READ" }\n'
            f"always = {{ seq = '={expression}' }}\n"
        )

    load_text(expecting("state.reads"), place)
    assert "the state has no 'strokes'" in told(expecting("state.strokes"), place)[0]
    assert "unknown name 'temperature'" in told(expecting("temperature"), place)[0]


def test_an_heir_has_the_state_of_its_template(place: Path) -> None:
    heir = '[devices.heir]\nextends = "pump"\naddress = "10.77.3.1"\nstate = { more = 1 }\n'
    rule = "[[devices.heir.rules]]\nset = { more = '=state.strokes' }\n"
    load_text(DEVICES + heir + rule, place)


def test_nothing_is_said_of_names_that_stand_in_what_is_wrong_itself(place: Path) -> None:
    rule = RULE + "reply = { kind = 'REPORT', value = '=temperature + state.level + state.date' }\n"
    for wrong in (
        DEVICES.replace('kind = "constant"', 'kind = "constnat"').replace("reads = 0", "date = 0"),
        DEVICES.replace("rows.csv", "none.csv").replace("reads = 0", "date = 0"),
        DEVICES.replace("reads = 0", "date = 1979-05-27", 1),
    ):
        assert len(told(wrong + rule, place)) == 1
