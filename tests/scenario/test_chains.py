"""What can be wrong with sequences, latencies, deliveries and ``after`` is told where it stands."""

from __future__ import annotations

from pathlib import Path

import pytest

from iotsim.errors import ScenarioError
from iotsim.scenario import load_text

PLACE = Path("/nowhere/test.toml")
HEAD = """
[scenario]
duration = "10s"
[gateway]
command = ["./gateway"]
[northbound.cloud]
kind = "http"
[devices.meter]
count = 4
address = "10.77.1.1"
protocol = "sensornet"
[[devices.meter.rules]]
when = { kind = "READ" }
reply = { kind = "REPORT", value = 20 }
[[step]]
name = "the step"
at = "1s"
note = "now"
"""
SEQUENCE = "sequence = [{ receives = { kind = 'READ' } }, { receives = { kind = 'READ' }"
LATENCY = (
    "latency = { from = { receives = { kind = 'READ' } }, to = { sends = { kind = 'REPORT' } }"
)
DELIVERED = "delivered = { sent = { kind = 'REPORT' }, northbound = 'cloud', "
MATCH = "match = '=north.json.seq == msg.seq'"
OTHER = "[[expect]]\nname = 'first'\neach = 'meter'\nreceives = {}\n"


def told(text: str, place: Path = PLACE) -> str:
    try:
        load_text(text, place)
    except ScenarioError as error:
        return "\n".join(map(str, error.problems))
    return ""


@pytest.mark.parametrize(
    "text",
    [
        f"each = 'meter'\n{SEQUENCE}, after = '2s ± 10%' }}]",
        f"none = 'meter'\nwithin = '5s'\n{SEQUENCE}, after = '0s..100ms', layer = 'wire' }}]",
        f"each = 'meter'\n{SEQUENCE} }}, {{ northbound = 'cloud', receives = {{ path = '/a' }} }}]",
        "northbound = 'cloud'\nsequence = [{ receives = {} }, { receives = { status = 200 } }]",
        f"all = 'meter'\n{LATENCY}, p99 = '50ms', mean = '1s' }}",
        (
            "northbound = 'cloud'\n"
            "latency = { from = { receives = {} }, to = { receives = {} }, max = '1s' }"
        ),
        f"each = 'meter'\n{DELIVERED}{MATCH}, exactly = 1, within = '5s', ordered = true }}",
        f"each = 'meter'\n{DELIVERED}{MATCH}, max = 1 }}",
        "northbound = 'cloud'\nreceives = { path = '/a', 'json.unit' = 'C' }\ncount = { min = 2 }",
        "each = 'meter'\nsends = { kind = 'REPORT', seq = '=request.seq' }\nwithin = '1s'",
        "each = 'meter'\nsends = { undecodable = true }\nnever = true",
        "each = 'meter'\nreceives = {}\nnever = true\nafter = 'the step'",
        "gateway = { stdout = 'on' }\nafter = 'the step'",
    ],
)
def test_all_forms_are_taken(text: str) -> None:
    assert told(f"{HEAD}[[expect]]\n{text}") == ""


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("each = 'meter'\nsequence = [{ receives = {} }]", "has two parts at least"),
        ("each = 'meter'\nsequence = 1", "sequence: must be a list of tables"),
        (f"each = 'meter'\n{SEQUENCE}, after = '2s' }}]", "write '2s ± 10%'"),
        (f"each = 'meter'\n{SEQUENCE}, after = 2 }}]", "sequence[1].after: must be a text"),
        (f"each = 'meter'\n{SEQUENCE}, afer = '2s' }}]", "sequence[1].afer"),
        (f"each = 'meter'\nreceives = {{}}\n{SEQUENCE} }}]", "says itself of which messages"),
        (
            "each = 'meter'\nsequence = [{ after = '1s..2s', receives = {} }, {}]",
            "the first has none",
        ),
        ("each = 'meter'\nsequence = [{}, {}]", "sequence[0]: needs 'receives' or 'sends'"),
        (f"each = 'meter'\n{SEQUENCE}, sends = {{}} }}]", "are two parts"),
        (f"each = 'meter'\n{SEQUENCE}, northbound = 'clout' }}]", "did you mean 'cloud'?"),
        (f"each = 'meter'\n{SEQUENCE}, after = '20s ± 1s' }}]", "is longer than the run"),
        (f"each = 'meter'\n{LATENCY} }}", "asks nothing: give it one of p50"),
        (f"each = 'meter'\n{LATENCY}, p99 = '60s' }}", "latency.p99: 60 s is longer than the run"),
        (f"none = 'meter'\n{LATENCY}, p99 = '1s' }}", "write 'each'"),
        (f"each = 'meter'\n{LATENCY}, max = '1s', {MATCH} }}", "'match' is for a 'to' that is"),
        (f"each = 'meter'\n{DELIVERED}{MATCH} }}", "'within' is missing"),
        (f"each = 'meter'\n{DELIVERED}within = '1s', match = 'x' }}", "begins with '='"),
        (f"each = 'meter'\n{DELIVERED}within = '1s', match = '=msg.seq == 1' }}", "no 'north'"),
        (
            f"each = 'meter'\n{DELIVERED}within = '1s', match = '=north.jsn == msg.seq' }}",
            "the northbound message has no field 'jsn'",
        ),
        (
            f"each = 'meter'\n{DELIVERED}within = '1s', match = '=north.json == msg.sek' }}",
            "the message has no field 'sek'",
        ),
        (f"each = 'meter'\n{DELIVERED}{MATCH}, exactly = 1, max = 2, within = '1s' }}", "no room"),
        (
            f"each = 'meter'\n{DELIVERED}{MATCH}, min = 3, max = 2, within = '1s' }}",
            "min is greater",
        ),
        (f"northbound = 'cloud'\n{DELIVERED}{MATCH}, max = 1 }}", "names the service itself"),
        ("northbound = 'sky'\nreceives = {}\nnever = true", "no northbound service 'sky'"),
        ("northbound = 'cloud'\nreceives = { topic = 'a' }\nnever = true", "unknown field 'topic'"),
        ("northbound = 'cloud'\neach = 'meter'\nreceives = {}\nnever = true", "about devices"),
        (
            "each = 'meter'\nreceives = {}\nnever = true\nafter = 'a step'",
            "did you mean 'the step'",
        ),
        ("each = 'meter'\nreceives = { seq = '=request.seq' }\nnever = true", "no 'request' here"),
    ],
)
def test_what_is_wrong_is_told(text: str, problem: str) -> None:
    assert problem in told(f"{HEAD}[[expect]]\n{text}")


def test_what_comes_after_must_be_able_to_come() -> None:
    never = f"{OTHER}never = true\n"
    then = "[[expect]]\nname = 'then'\nany = 'meter'\nreceives = {}\nwithin = '1s'\nafter = "
    assert "cannot hold before the end" in told(f"{HEAD}{never}{then}'first'")
    assert "comes after itself" in told(f"{HEAD}{then}'then'")
    within = f"{OTHER}within = '1s'\n"
    assert told(f"{HEAD}{within}{then}'first'") == ""
    assert "comes after itself" in told(f"{HEAD}{within}after = 'then'\n{then}'first'")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (f"all = 'meter'\n{SEQUENCE} }}]", "cannot be put together to one 'sequence'"),
        (f"each = 'meter'\n{DELIVERED}{MATCH}, max = 1 }}", "no process sees both"),
        ("each = 'meter'\nreceives = {}\nnever = true\nafter = 'first'", "no process knows when"),
    ],
)
def test_what_several_queues_cannot_judge_is_refused(text: str, problem: str) -> None:
    head = f"{HEAD}[link]\nqueues = 2\n{OTHER}within = '1s'\n[[expect]]\n{text}"
    assert problem in told(head)
    assert told(head.replace("queues = 2", "queues = 1")) == ""
    assert (
        told(f"{HEAD}[link]\nqueues = 2\n[[expect]]\nall = 'meter'\n{LATENCY}, p50 = '1s' }}") == ""
    )
