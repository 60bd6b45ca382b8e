"""What our own impairments make impossible is told when the file is loaded, and blames no gateway."""

from __future__ import annotations

from pathlib import Path

import pytest

from iotsim.errors import ScenarioError
from iotsim.scenario import load_text

FLEET = """
[link]
kind = "memory"
[devices.meter]
count = 3
address = "10.77.1.1"
protocol = "sensornet"
[[devices.meter.rules]]
when = { kind = "READ" }
reply = { kind = "REPORT", value = 1 }
"""
SENDS = 'sends = { kind = "REPORT" }\nwithin = "5s"'
IMPOSSIBLE = "can never hold: 'dead'"


def problems(text: str) -> str:
    try:
        load_text(FLEET + text, Path("s.toml"))
    except ScenarioError as error:
        return str(error)
    return ""


def scenario(entry: str, expect: str = SENDS, who: str = 'each = "meter"') -> str:
    return f'{entry}\n[[expect]]\nname = "x"\n{who}\n{expect}\n'


LOST = '[[impair]]\nname = "dead"\nloss = "100%"\n'


@pytest.mark.parametrize(
    ("entry", "expect", "who"),
    [
        (LOST, SENDS, 'each = "meter"'),
        (LOST + 'direction = "from_device"', SENDS, 'any = "meter"'),
        (LOST + 'devices = "meter[1]"', SENDS, 'each = "meter"'),
        (LOST, 'sends = { kind = "REPORT" }\ncount = { min = 1 }', 'all = "meter"'),
        (
            LOST,
            'sequence = [{ receives = { kind = "READ" } }, { sends = { kind = "REPORT" } }]',
            'device = "meter[0]"',
        ),
        (
            LOST,
            (
                'latency = { from = { receives = { kind = "READ" } }, '
                'to = { sends = { kind = "REPORT" } }, max = "1s" }'
            ),
            'each = "meter"',
        ),
        (
            '[[impair]]\nname = "dead"\nloss = { enter = "1%", leave = "1%", good = "100%" }',
            SENDS,
            'each = "meter"',
        ),
        ('[[fault]]\nname = "dead"\ndevices = "meter"\nmute = true', SENDS, 'each = "meter"'),
        ('[[fault]]\nname = "dead"\ndevices = "meter[2]"\noffline = true', SENDS, 'each = "meter"'),
    ],
)
def test_nothing_of_it_ever_leaves(entry: str, expect: str, who: str) -> None:
    told = problems(scenario(entry, expect, who))
    assert IMPOSSIBLE in told
    assert "keeps back all that meter[" in told


@pytest.mark.parametrize(
    ("entry", "expect", "who"),
    [
        (LOST.replace("100%", "99%"), SENDS, 'each = "meter"'),
        (LOST + "first = 3", SENDS, 'each = "meter"'),
        (LOST + 'between = ["0s", "10s"]', SENDS, 'each = "meter"'),
        (LOST + 'at = "1s"', SENDS, 'each = "meter"'),
        (LOST + 'when = { kind = "REPORT" }', SENDS, 'each = "meter"'),
        (LOST + 'direction = "to_device"', SENDS, 'each = "meter"'),
        (LOST + 'devices = "meter[1]"', SENDS, 'any = "meter"'),
        (LOST + 'devices = "meter[1]"', SENDS, 'each = "meter[2:3]"'),
        (LOST, 'receives = { kind = "READ" }\nwithin = "5s"', 'each = "meter"'),
        (LOST, 'sends = { kind = "REPORT" }\nnever = true', 'each = "meter"'),
        (LOST, 'sends = { kind = "REPORT" }\ncount = { max = 3 }', 'each = "meter"'),
        (LOST, SENDS, 'none = "meter"'),
    ],
)
def test_something_may_leave_or_nothing_is_asked(entry: str, expect: str, who: str) -> None:
    assert problems(scenario(entry, expect, who)) == ""
