"""SNMP: what an agent answers, by the sections of its standards, and what it says by itself."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest

from iotsim.errors import DecodeError, EncodeError, ScenarioError
from iotsim.events import DeviceFailed, Note, SessionFailed
from iotsim.protocol.registry import load_protocol
from iotsim.protocol.values import is_plain
from iotsim.protocols.snmp.ber import TYPES
from iotsim.protocols.snmp.reading import read_message
from iotsim.testing import Transcript

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

LOADED = load_protocol("snmp")
CODEC = LOADED.protocol.codec
OURS = "1.3.6.1.4.1.9999"
DESCR, UP_TIME, NAME = (f"1.3.6.1.2.1.1.{number}.0" for number in (1, 3, 5))
TRAP_OID = "1.3.6.1.6.3.1.1.4.1.0"
LINK_DOWN = {"oid": TRAP_OID, "type": "OID", "value": "1.3.6.1.6.3.1.1.5.3"}


def agent(
    objects: dict[str, Any] | None = None, model: dict[str, Any] | None = None, **rest: Any
) -> Transcript:
    """A device whose objects below `OURS` are those, by the rest of their names."""
    named = {f"{OURS}.{name}": one for name, one in (objects or {}).items()}
    return Transcript("snmp", model={"interfaces": 0, **(model or {}), "objects": named}, **rest)


def asked(*oids: str) -> list[dict[str, Any]]:
    return [{"oid": oid} for oid in oids]


def told(answer: Mapping[str, Any]) -> list[tuple[str, str, Any]]:
    return [(one["oid"], one["type"], one["value"]) for one in answer["bindings"]]


def status(answer: Mapping[str, Any]) -> tuple[str, int]:
    return answer["error"], answer["index"]


# -- GET (RFC 3416, section 4.2.1) -------------------------------------------------------------------


def test_get_tells_the_values_in_the_order_in_which_they_were_asked() -> None:
    device = agent({"1.0": 7, "2.0": "text"})
    (answer,) = device.receive(
        pdu="GET", request_id=99, bindings=asked(f"{OURS}.2.0", f"{OURS}.1.0")
    )
    assert told(answer) == [(f"{OURS}.2.0", "OCTETS", "text"), (f"{OURS}.1.0", "INTEGER", 7)]
    assert (answer["pdu"], answer["request_id"], answer["version"]) == ("RESPONSE", 99, 2)
    assert (answer["community"], *status(answer)) == ("public", "NO_ERROR", 0)


def test_get_tells_what_is_missing_an_instance_or_the_object() -> None:
    """RFC 3416, section 4.2.1, (2) and (3)."""
    device = agent({"1.1.5": 7})
    names = (f"{OURS}.1.1.6", f"{OURS}.1.1", f"{OURS}.1", f"{OURS}.2.0", "1.3.6.1.2.1.1.1.1")
    (answer,) = device.receive(pdu="GET", bindings=asked(*names))
    instance, missing = "NO_SUCH_INSTANCE", "NO_SUCH_OBJECT"
    assert [kind for _, kind, _ in told(answer)] == [instance, instance, missing, missing, instance]
    assert [oid for oid, _, _ in told(answer)] == list(names)


def test_v1_has_one_error_for_all_that_is_missing() -> None:
    """RFC 1157, section 4.1.2 (1): noSuchName, the index, and the bindings as they came."""
    device = agent({"1.0": 7})
    bindings = asked(f"{OURS}.1.0", f"{OURS}.2.0")
    (answer,) = device.receive(pdu="GET", version=1, bindings=bindings)
    assert status(answer) == ("NO_SUCH_NAME", 2)
    assert told(answer) == [(one["oid"], "NULL", None) for one in bindings]


@pytest.mark.parametrize(
    ("error", "in_v1"),
    [
        *((name, "BAD_VALUE") for name in ("WRONG_VALUE", "WRONG_ENCODING", "WRONG_LENGTH")),
        ("INCONSISTENT_VALUE", "BAD_VALUE"),
        ("INCONSISTENT_NAME", "NO_SUCH_NAME"),
        ("AUTHORIZATION_ERROR", "NO_SUCH_NAME"),
        *((name, "GEN_ERR") for name in ("RESOURCE_UNAVAILABLE", "COMMIT_FAILED", "UNDO_FAILED")),
        ("READ_ONLY", "READ_ONLY"),
    ],
)
def test_v1_has_other_names_of_errors(error: str, in_v1: str) -> None:
    """RFC 3584, section 4.4, of what a scenario lets a device say."""
    device = agent(faults=[{"error": error}])
    (answer,) = device.receive(pdu="SET", version=1, bindings=asked(NAME))
    assert answer["error"] == in_v1


def test_v1_does_not_tell_counter64() -> None:
    """RFC 3584, section 4.2.2.1 and 4.2.2.2: as if it were not there; GETNEXT passes over it."""
    device = agent({"1.0": 1, "2.0": {"type": "COUNTER64", "value": 1 << 40}, "3.0": 3})
    (answer,) = device.receive(pdu="GET", version=1, bindings=asked(f"{OURS}.2.0"))
    assert status(answer) == ("NO_SUCH_NAME", 1)
    (answer,) = device.receive(pdu="GETNEXT", version=1, bindings=asked(f"{OURS}.1.0"))
    assert told(answer) == [(f"{OURS}.3.0", "INTEGER", 3)]
    (answer,) = device.receive(pdu="GET", version=2, bindings=asked(f"{OURS}.2.0"))
    assert told(answer) == [(f"{OURS}.2.0", "COUNTER64", 1 << 40)]


def test_a_response_that_is_too_big_is_told_as_such() -> None:
    """RFC 3416, section 4.2.1: without bindings; RFC 1157, section 4.1.2 (3): with those of the request."""
    device = agent({f"{number}.0": "x" * 200 for number in range(5)}, {"max_message_size": 484})
    names = [f"{OURS}.{number}.0" for number in range(5)]
    (answer,) = device.receive(pdu="GET", bindings=asked(*names))
    assert (*status(answer), answer["bindings"]) == ("TOO_BIG", 0, [])
    (answer,) = device.receive(pdu="GET", version=1, bindings=asked(*names))
    assert status(answer) == ("TOO_BIG", 0)
    assert told(answer) == [(name, "NULL", None) for name in names]


@pytest.mark.parametrize("length", range(395, 445))
def test_a_response_may_be_just_as_large_as_a_message(length: int) -> None:
    device = agent({"1.0": "x" * length}, {"max_message_size": 484})
    (answer,) = device.receive(pdu="GET", request_id=1 << 30, bindings=asked(f"{OURS}.1.0"))
    whole = CODEC.encode(
        {"pdu": "RESPONSE", "request_id": 1 << 30}
        | {"bindings": [{"oid": f"{OURS}.1.0", "type": "OCTETS", "value": "x" * length}]}
    )
    assert (answer["error"] == "NO_ERROR") is (len(whole) <= 484)


def test_many_bindings_are_too_many_without_being_looked_at() -> None:
    device = agent()
    (answer,) = device.receive(pdu="GET", bindings=asked(*[DESCR] * 3000))
    assert status(answer) == ("TOO_BIG", 0)
    (answer,) = device.receive(pdu="GETNEXT", bindings=asked(*["1.3"] * 3000))
    assert status(answer) == ("TOO_BIG", 0)


# -- GETNEXT and GETBULK (RFC 3416, section 4.2.2 and 4.2.3) -----------------------------------------


def test_getnext_goes_through_all_variables_in_lexicographic_order() -> None:
    names = ["1.0", "2.1.9", "2.1.10", "2.1.4294967295", "10.0"]
    device = agent({name: number for number, name in enumerate(reversed(names))})
    seen, at = [], OURS
    while True:
        (answer,) = device.receive(pdu="GETNEXT", bindings=asked(at))
        ((at, kind, _),) = told(answer)
        if kind == "END_OF_MIB_VIEW":
            break
        seen.append(at.removeprefix(f"{OURS}."))
    assert seen == names
    assert at == f"{OURS}.10.0"
    (answer,) = device.receive(pdu="GETNEXT", version=1, bindings=asked(DESCR, at))
    assert status(answer) == ("NO_SUCH_NAME", 2)


def test_getnext_takes_names_that_are_no_variables() -> None:
    device = agent({"1.5": 5, "1.7": 7})
    for before in (OURS, f"{OURS}.1", f"{OURS}.1.6", f"{OURS}.1.5.99", f"{OURS}.1.5"):
        (answer,) = device.receive(pdu="GETNEXT", bindings=asked(before))
        expected = 5 if before in (OURS, f"{OURS}.1") else 7
        assert told(answer) == [(f"{OURS}.1.{expected}", "INTEGER", expected)]


def test_getbulk_repeats_what_is_no_non_repeater() -> None:
    device = agent({"1.1": 11, "1.2": 12, "2.1": 21, "2.2": 22})
    (answer,) = device.receive(
        pdu="GETBULK",
        non_repeaters=1,
        max_repetitions=2,
        bindings=asked(UP_TIME.removesuffix(".0"), f"{OURS}.1", f"{OURS}.2"),
    )
    assert [(oid.removeprefix(f"{OURS}."), value) for oid, _, value in told(answer)] == [
        (UP_TIME, 0),
        *[("1.1", 11), ("2.1", 21)],
        *[("1.2", 12), ("2.2", 22)],
    ]


@pytest.mark.parametrize(
    ("non_repeaters", "max_repetitions", "expected"),
    [(0, 0, []), (-5, -5, []), (9, 3, ["1.0", "2.0"]), (1, 0, ["1.0"]), (1, -1, ["1.0"])],
)
def test_getbulk_takes_numbers_below_zero_for_zero(
    non_repeaters: int, max_repetitions: int, expected: list[str]
) -> None:
    """Section 4.2.3: N, M and R."""
    device = agent({"1.0": 1, "2.0": 2})
    (answer,) = device.receive(
        pdu="GETBULK",
        non_repeaters=non_repeaters,
        max_repetitions=max_repetitions,
        bindings=asked(f"{OURS}.1", f"{OURS}.2"),
    )
    assert status(answer) == ("NO_ERROR", 0)
    assert [oid.removeprefix(f"{OURS}.") for oid, _, _ in told(answer)] == expected


def test_getbulk_ends_where_all_repetitions_have_come_to_the_end() -> None:
    device = agent({"1.0": 1, "2.0": 2})
    (answer,) = device.receive(
        pdu="GETBULK", max_repetitions=2_147_483_647, bindings=asked(f"{OURS}.1.0", f"{OURS}.2.0")
    )
    end = "END_OF_MIB_VIEW"
    assert told(answer) == [
        *[(f"{OURS}.2.0", "INTEGER", 2), (f"{OURS}.2.0", end, None)],
        *[(f"{OURS}.2.0", end, None), (f"{OURS}.2.0", end, None)],
    ]


@pytest.mark.parametrize("size", [484, 600, 1472])
def test_getbulk_gives_as_much_as_a_message_holds(size: int) -> None:
    """Section 4.2.3: "a lesser number of variable bindings", and no tooBig."""
    device = agent(
        {f"1.{number}": "x" * (number % 150) for number in range(900)}, {"max_message_size": size}
    )
    (answer,) = device.receive(pdu="GETBULK", max_repetitions=5000, bindings=asked(f"{OURS}.1"))
    assert status(answer) == ("NO_ERROR", 0)
    values = [value for _, _, value in told(answer)]
    assert values == ["x" * (number % 150) for number in range(len(values))]
    assert size - 185 < len(device.datagrams[-1][1]) <= size


def test_getbulk_gives_nothing_where_not_even_one_fits() -> None:
    device = agent({"1.0": "x" * 600}, {"max_message_size": 484})
    for non_repeaters in (0, 1):
        (answer,) = device.receive(
            pdu="GETBULK", non_repeaters=non_repeaters, max_repetitions=1, bindings=asked(OURS)
        )
        assert (*status(answer), answer["bindings"]) == ("NO_ERROR", 0, [])


# -- SET (RFC 3416, section 4.2.5) -------------------------------------------------------------------

WRITABLE = {
    "1.0": {"value": 1, "writable": True},
    "2.0": {"value": "=state.label", "writable": True},
    "3.0": 3,
    "4.1": {"value": 41, "writable": True},
}
STATE = {"label": "here"}


def written(name: str, value: Any, kind: str = "INTEGER") -> dict[str, Any]:
    return {"oid": f"{OURS}.{name}", "type": kind, "value": value}


def test_set_writes_literals_of_the_device_and_its_state() -> None:
    device = agent(WRITABLE, state=STATE)
    bindings = [written("1.0", 5), written("2.0", "there", "OCTETS")]
    (answer,) = device.receive(pdu="SET", community="private", bindings=bindings)
    assert status(answer) == ("NO_ERROR", 0)
    assert answer["bindings"] == bindings
    assert device.device.state["label"] == "there"
    (answer,) = device.receive(pdu="GET", bindings=asked(f"{OURS}.1.0", f"{OURS}.2.0"))
    assert answer["bindings"] == bindings
    device.reboot()
    (answer,) = device.receive(pdu="GET", bindings=asked(f"{OURS}.1.0", f"{OURS}.2.0"))
    assert [value for _, _, value in told(answer)] == [1, "here"]


REFUSED = {
    "noAccess: the community may read only": (written("1.0", 5), "public", "NO_ACCESS"),
    "wrongType": (written("1.0", "5", "OCTETS"), "private", "WRONG_TYPE"),
    "wrongType of a state": (written("2.0", 5), "private", "WRONG_TYPE"),
    "notWritable: it may not be": (written("3.0", 5), "private", "NOT_WRITABLE"),
    "notWritable: there is nothing like it": (written("9.0", 5), "private", "NOT_WRITABLE"),
    "noCreation: only what is there": (written("4.2", 5), "private", "NO_CREATION"),
}
V1_NAMES = {"WRONG_TYPE": "BAD_VALUE"}


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("why", REFUSED)
def test_set_writes_all_or_nothing(why: str, version: int) -> None:
    """RFC 3416, section 4.2.5; in v1 with the errors of RFC 3584, section 4.4."""
    wrong, community, error = REFUSED[why]
    device = agent(WRITABLE, state=STATE)
    bindings = [written("4.1", 7), wrong, written("1.0", 9)]
    (answer,) = device.receive(pdu="SET", version=version, community=community, bindings=bindings)
    expected = V1_NAMES.get(error, "NO_SUCH_NAME") if version == 1 else error
    assert status(answer) == (expected, 1 if error == "NO_ACCESS" else 2)
    assert answer["bindings"] == bindings
    (answer,) = device.receive(pdu="GET", bindings=asked(f"{OURS}.4.1", f"{OURS}.1.0"))
    assert [value for _, _, value in told(answer)] == [41, 1]


def test_what_is_too_big_to_be_answered_is_not_written() -> None:
    device = agent({"1.0": {"value": "", "writable": True}}, {"max_message_size": 484})
    binding = written("1.0", "x" * 500, "OCTETS")
    (answer,) = device.receive(pdu="SET", community="private", bindings=[binding])
    assert (*status(answer), answer["bindings"]) == ("TOO_BIG", 0, [])
    (answer,) = device.receive(pdu="GET", bindings=asked(f"{OURS}.1.0"))
    assert told(answer) == [(f"{OURS}.1.0", "OCTETS", "")]


# -- communities, and what is not answered -----------------------------------------------------------


def test_a_wrong_community_is_not_answered() -> None:
    device = agent(WRITABLE, {"read_community": "see", "write_community": "change"}, state=STATE)
    for community in ("public", "private", "", "Se", "seee"):
        for pdu in ("GET", "GETNEXT", "GETBULK", "SET"):
            assert device.receive(pdu=pdu, community=community, bindings=asked(DESCR)) == []
    for community in ("see", "change"):
        assert device.receive(pdu="GET", community=community, bindings=asked(DESCR))
    assert device.simulation.counters().counts["outcome.consumed.no-rule"] == 20


@pytest.mark.parametrize("pdu", ["RESPONSE", "INFORM", "TRAP", "REPORT"])
def test_what_is_no_request_to_an_agent_is_not_answered(pdu: str) -> None:
    assert agent().receive(pdu=pdu, bindings=asked(DESCR)) == []


def test_rules_come_first_and_their_replies_belong_to_the_request() -> None:
    rule = {
        "when": {"pdu": "GET", "bindings.0.oid": DESCR},
        "reply": {"pdu": "RESPONSE", "error": "GEN_ERR", "index": 1, "bindings": "=msg.bindings"},
    }
    device = agent(rules=[rule])
    (answer,) = device.receive(pdu="GET", request_id=5, version=1, bindings=asked(DESCR))
    assert (*status(answer), answer["request_id"], answer["version"]) == ("GEN_ERR", 1, 5, 1)
    (answer,) = device.receive(pdu="GET", bindings=asked(NAME))
    assert told(answer) == [(NAME, "OCTETS", "device[0]")]


# -- the model ---------------------------------------------------------------------------------------


def test_a_device_has_the_system_group_and_interfaces_with_traffic() -> None:
    device = Transcript("snmp", model={"interfaces": 2})
    device.wait(60)
    names = (NAME, UP_TIME, "1.3.6.1.2.1.2.1.0", "1.3.6.1.2.1.2.2.1.2.2")
    octets = ("1.3.6.1.2.1.2.2.1.10.1", "1.3.6.1.2.1.31.1.1.1.6.1")
    (answer,) = device.receive(pdu="GET", bindings=asked(*names, *octets))
    *first, short, long = [value for _, _, value in told(answer)]
    assert first == ["device[0]", 6000, 2, "eth1"]
    assert short == long > 60_000
    device.wait(60)
    (answer,) = device.receive(pdu="GET", bindings=asked(*octets))
    assert [value for _, _, value in told(answer)] == [2 * short, 2 * short]


def test_the_time_since_boot_counts_from_the_last_reboot() -> None:
    device = agent()
    device.wait(100)
    device.reboot()
    device.wait(2.5)
    (answer,) = device.receive(pdu="GET", bindings=asked(UP_TIME))
    assert told(answer) == [(UP_TIME, "TIMETICKS", 250)]


def test_what_the_scenario_says_of_an_object_comes_before_the_default() -> None:
    device = Transcript(
        "snmp",
        model={
            "objects": {
                DESCR: "mine",
                ".1.3.6.1.2.1.1.5.0": "me",
                UP_TIME: {"type": "TIMETICKS", "value": 5},
            }
        },
    )
    (answer,) = device.receive(pdu="GET", bindings=asked(DESCR, NAME, UP_TIME))
    assert [value for _, _, value in told(answer)] == ["mine", "me", 5]


VALUES: dict[str, tuple[Any, str, Any]] = {
    "an integer": ({"value": 5}, "INTEGER", 5),
    "a fraction is rounded": ({"value": "=t + 1.6"}, "INTEGER", 2),
    "true is 1": ({"value": "=t == 0"}, "INTEGER", 1),
    "a text": ({"value": "=device.name"}, "OCTETS", "device[0]"),
    "bytes": ({"value": "hex:00ff"}, "OCTETS", b"\x00\xff"),
    "bytes that are a text": ({"value": "hex:6869"}, "OCTETS", "hi"),
    "a number as a text": ({"type": "OCTETS", "value": "=t + 0.5"}, "OCTETS", "0.5"),
    "a counter wraps": ({"type": "COUNTER32", "value": "=t + 4294967298"}, "COUNTER32", 2),
    "a long counter wraps": ({"type": "COUNTER64", "value": "=2 ** 64 + 1"}, "COUNTER64", 1),
    "ticks wrap": ({"type": "TIMETICKS", "value": "=2 ** 32"}, "TIMETICKS", 0),
    "a gauge stays at its top": ({"type": "GAUGE32", "value": "=2 ** 40"}, "GAUGE32", 4294967295),
    "and at its bottom": ({"type": "GAUGE32", "value": "=t - 1"}, "GAUGE32", 0),
    "an address": ({"type": "IPADDRESS", "value": "=device.address"}, "IPADDRESS", "10.77.1.1"),
    "an identifier": ({"type": "OID", "value": ".1.3.6.1.4.1"}, "OID", "1.3.6.1.4.1"),
    "the largest one": ({"type": "OID", "value": "2.4294967295.0"}, "OID", "2.4294967295.0"),
    "something opaque": ({"type": "OPAQUE", "value": "hex:9f7804"}, "OPAQUE", b"\x9f\x78\x04"),
    "nothing": ({"type": "NULL", "value": "=None"}, "NULL", None),
    "a column of the device's": ({"value": "=state.site"}, "OCTETS", "Bonn"),
}


@pytest.mark.parametrize("what", VALUES)
def test_values_are_of_their_types(what: str, tmp_path: Path) -> None:
    (tmp_path / "sites.csv").write_text("site\nBonn\n")
    given, kind, value = VALUES[what]
    device = agent({"1.0": given}, folder=tmp_path, data="sites.csv")
    (answer,) = device.receive(pdu="GET", bindings=asked(f"{OURS}.1.0"))
    assert told(answer) == [(f"{OURS}.1.0", kind, value)]


def test_an_expression_that_gives_no_such_value_is_the_scenarios_mistake() -> None:
    device = agent({"1.0": {"type": "INTEGER", "value": "=2 ** 40"}}, may_fail=True)
    assert device.receive(pdu="GET", bindings=asked(f"{OURS}.1.0")) == []
    (failed,) = [event for event in device.events if isinstance(event, DeviceFailed)]
    assert failed.error == (
        f"{OURS}.1.0: 1099511627776 is no INTEGER, which is -2147483648 to 2147483647, in '=2 ** 40'"
    )


MISTAKES: dict[str, tuple[dict[str, Any], str]] = {
    "no identifier": ({"objects": {"1.3.x": 1}}, "'1.3.x' is no object identifier, such as"),
    "beyond 32 bits": ({"objects": {"1.3.4294967296": 1}}, "4294967296 is more than a number"),
    "no such root": ({"objects": {"3.1": 1}}, "no object identifier begins with 3.1"),
    "beyond its type": (
        {"objects": {"1.3.1": {"type": "GAUGE32", "value": -1}}},
        "-1 is no GAUGE32, which is 0 to 4294967295",
    ),
    "a fraction": ({"objects": {"1.3.1": 1.5}}, "1.5 is no INTEGER"),
    "no address": (
        {"objects": {"1.3.1": {"type": "IPADDRESS", "value": "10.0.0.256"}}},
        "'10.0.0.256' is no IPADDRESS, such as 10.0.0.1",
    ),
    "a text that is no number": (
        {"objects": {"1.3.1": {"type": "INTEGER", "value": "5"}}},
        "'5' is no INTEGER",
    ),
    "not writable": (
        {"objects": {"1.3.1": {"value": "=t * 2", "writable": True}}},
        "'=t * 2' cannot be written: a literal can, and '=state.NAME'",
    ),
    "unknown type": ({"objects": {"1.3.1": {"type": "COUNTER", "value": 1}}}, "must be 'INTEGER',"),
    "too small": ({"max_message_size": 100}, "must be greater than or equal to 484"),
    "too many": ({"interfaces": 5000}, "must be less than or equal to 1000"),
    "no file": ({"recording": "none.snmprec"}, "none.snmprec: there is no such file"),
    "no name": ({"communities": "x"}, "unknown key"),
}


@pytest.mark.parametrize("what", MISTAKES)
def test_mistakes_in_a_model_are_told(what: str) -> None:
    model, expected = MISTAKES[what]
    with pytest.raises(ScenarioError) as raised:
        Transcript("snmp", model=model)
    (problem,) = raised.value.problems
    assert problem.path.startswith("devices.device.model")
    assert expected in str(problem)


# -- recordings --------------------------------------------------------------------------------------

SNMPREC = """# a comment
1.3.6.1.2.1.1.1.0|4|A switch
1.3.6.1.2.1.1.2.0|6|1.3.6.1.4.1.9.1.208
1.3.6.1.2.1.1.3.0|67|233425120
1.3.6.1.2.1.2.2.1.6.2|4x|00127962f940
1.3.6.1.2.1.2.2.1.7.2|2|-1

1.3.6.1.2.1.2.2.1.10.2|65|4294967295
1.3.6.1.2.1.2.2.1.5.2|66|100000000
1.3.6.1.2.1.4.20.1.1.10.0.0.1|64|10.0.0.1
1.3.6.1.2.1.4.20.1.1.10.0.0.2|64x|0a000002
1.3.6.1.2.1.31.1.1.1.6.2|70|18446744073709551615
1.3.6.1.4.1.9999.1.0|68x|9f780442f60000
1.3.6.1.4.1.9999.2.0|5|
1.3.6.1.4.1.9999.3.0|4|a|b = c
1.3.6.1.4.1.9999.4.0|4|
1.3.6.1.4.1.9999.5.0|4e|line\\x0aline
1.3.6.1.4.1.9999.6.0|4|=t
"""
WALK = r"""
.1.3.6.1.2.1.1.1.0 = STRING: A switch
.1.3.6.1.2.1.1.2.0 = OID: .1.3.6.1.4.1.9.1.208
.1.3.6.1.2.1.1.3.0 = Timeticks: (233425120) 27 days, 0:24:11.20
.1.3.6.1.2.1.2.2.1.6.2 = Hex-STRING: 00 12 79 62 F9 40 
.1.3.6.1.2.1.2.2.1.7.2 = INTEGER: -1
.1.3.6.1.2.1.2.2.1.10.2 = Counter32: 4294967295
.1.3.6.1.2.1.2.2.1.5.2 = Gauge32: 100000000
.1.3.6.1.2.1.4.20.1.1.10.0.0.1 = IpAddress: 10.0.0.1
.1.3.6.1.2.1.4.20.1.1.10.0.0.2 = Network Address: 0A:00:00:02
.1.3.6.1.2.1.31.1.1.1.6.2 = Counter64: 18446744073709551615
.1.3.6.1.4.1.9999.1.0 = Opaque: Float: 123.000000
.1.3.6.1.4.1.9999.2.0 = NULL
.1.3.6.1.4.1.9999.3.0 = STRING: "a|b = c"
.1.3.6.1.4.1.9999.4.0 = ""
.1.3.6.1.4.1.9999.5.0 = STRING: "line
line"
.1.3.6.1.4.1.9999.6.0 = STRING: "=t"
.1.3.6.1.4.1.9999.7.0 = No Such Instance currently exists at this OID
.1.3.6.1.4.1.9999.7.0 = No more variables left in this MIB View (It is past the end of the MIB tree)
"""  # noqa: W291  # snmpwalk writes that space
RECORDED = [
    ("1.3.6.1.2.1.1.1.0", "OCTETS", "A switch"),
    ("1.3.6.1.2.1.1.2.0", "OID", "1.3.6.1.4.1.9.1.208"),
    ("1.3.6.1.2.1.1.3.0", "TIMETICKS", 100),
    ("1.3.6.1.2.1.2.2.1.5.2", "GAUGE32", 100_000_000),
    ("1.3.6.1.2.1.2.2.1.6.2", "OCTETS", bytes.fromhex("00127962f940")),
    ("1.3.6.1.2.1.2.2.1.7.2", "INTEGER", -1),
    ("1.3.6.1.2.1.2.2.1.10.2", "COUNTER32", 4294967295),
    ("1.3.6.1.2.1.4.20.1.1.10.0.0.1", "IPADDRESS", "10.0.0.1"),
    ("1.3.6.1.2.1.4.20.1.1.10.0.0.2", "IPADDRESS", "10.0.0.2"),
    ("1.3.6.1.2.1.31.1.1.1.6.2", "COUNTER64", 18446744073709551615),
    (f"{OURS}.1.0", "OPAQUE", bytes.fromhex("9f780442f60000")),
    (f"{OURS}.2.0", "NULL", None),
    (f"{OURS}.3.0", "OCTETS", "a|b = c"),
    (f"{OURS}.4.0", "OCTETS", ""),
    (f"{OURS}.5.0", "OCTETS", "line\nline"),
    (f"{OURS}.6.0", "OCTETS", "=t"),
]


@pytest.mark.parametrize("text", [SNMPREC, WALK, WALK.replace("\n", "\r\n")])
def test_a_recording_is_what_the_device_tells_but_for_the_time(text: str, tmp_path: Path) -> None:
    (tmp_path / "switch.rec").write_text(text, newline="")
    device = Transcript("snmp", folder=tmp_path, model={"recording": "switch.rec"})
    device.wait(1)
    (answer,) = device.receive(pdu="GETBULK", max_repetitions=50, bindings=asked("1.3"))
    *values, end = told(answer)
    assert values == RECORDED
    assert end[1] == "END_OF_MIB_VIEW"


def test_objects_come_before_a_recording(tmp_path: Path) -> None:
    (tmp_path / "switch.snmprec").write_text(SNMPREC)
    objects = {"1.3.6.1.2.1.2.2.1.10.2": {"type": "COUNTER32", "value": "=t * 8"}, f"{OURS}.9.0": 9}
    model = {"recording": "switch.snmprec", "objects": objects}
    device = Transcript("snmp", folder=tmp_path, model=model)
    device.wait(2)
    (answer,) = device.receive(pdu="GET", bindings=asked(*objects, f"{OURS}.3.0", NAME))
    assert [value for _, _, value in told(answer)] == [16, 9, "a|b = c", None]


WALKED_VALUES = {
    'STRING: "with \\"quotes\\" and \\\\"': ("OCTETS", 'with "quotes" and \\'),
    "STRING: plain: with a colon": ("OCTETS", "plain: with a colon"),
    "STRING: ": ("OCTETS", ""),
    "INTEGER: up(1)": ("INTEGER", 1),
    "INTEGER: 1500 octets": ("INTEGER", 1500),
    "Gauge32: 7 milli-seconds": ("GAUGE32", 7),
    "Timeticks: 73": ("TIMETICKS", 73),
    "BITS: 80 01 0 15 ": ("OCTETS", b"\x80\x01"),
    "Hex-STRING: 00 01 02 \n03 04 ": ("OCTETS", b"\x00\x01\x02\x03\x04"),
    "Wrong Type (should be Gauge32 or Unsigned32): INTEGER: 5": ("INTEGER", 5),
    "Opaque: 01 02": ("OPAQUE", b"\x01\x02"),
}


@pytest.mark.parametrize("text", WALKED_VALUES)
def test_what_snmpwalk_writes_is_read(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.walk").write_text(f".{OURS}.1.0 = {text}\n.{OURS}.2.0 = INTEGER: 2\n")
    device = Transcript("snmp", folder=tmp_path, model={"recording": "a.walk"})
    (answer,) = device.receive(pdu="GET", bindings=asked(f"{OURS}.1.0", f"{OURS}.2.0"))
    assert told(answer)[0][1:] == WALKED_VALUES[text]
    assert told(answer)[1][2] == 2


WRONG_RECORDINGS = {
    "1.3.1|2|1\n1.3.2|2|x\n": "r.txt:2: invalid literal for int() with base 10: 'x'",
    "1.3.1|2|1\n1.3.2 = 5\n": "r.txt:2: '1.3.2 = 5' is no OID|TAG|VALUE",
    "1.3.1|2|1\n1.3.2|99|1\n": "r.txt:2: 99 is the tag of no value",
    "1.3.1|2|1\n1.3.2|4:numeric|x\n": "r.txt:2: '1.3.2|4:numeric|x' is no OID|TAG|VALUE",
    "1.3.1|2|1\n1.3.1|2|2\n": "r.txt:2: 1.3.1 is there twice",
    "1.3.1|2|1\n1.3.2|2|4294967296\n": "r.txt:2: 4294967296 is no INTEGER, which is",
    "1.3.1|2|1\n1.3.4294967296|2|1\n": "r.txt:2: 4294967296 is more than a number",
    "1.3.1|2|1\n1.3.2|64|10.0.0\n": "r.txt:2: '10.0.0' is no IPADDRESS",
    "1.3.1|2|1\n1.3.2|64x|0a00\n": "r.txt:2: an IPADDRESS of 2 octets",
    "1.3.1|2|1\n1.3.2|4x|0\n": "r.txt:2: non-hexadecimal number found",
    "\n\nsysDescr.0 = STRING: x\n": "r.txt:3: 'sysDescr.0 = STRING: x' is no OID = TYPE: VALUE; snmpwalk -On",
    ".1.3.1 = INTEGER: 1\n.1.3.2 = Float: 1\n": "r.txt:2: 'Float: 1' is no TYPE: VALUE",
    ".1.3.1 = INTEGER: x\n": "r.txt:1: 'x' has no number",
    "": "r.txt:1: no entry of a recording in this file",
}


@pytest.mark.parametrize("text", WRONG_RECORDINGS)
def test_what_is_wrong_in_a_recording_is_told_with_its_line(text: str, tmp_path: Path) -> None:
    (tmp_path / "r.txt").write_text(text)
    with pytest.raises(ScenarioError) as raised:
        Transcript("snmp", folder=tmp_path, model={"recording": "r.txt"})
    assert WRONG_RECORDINGS[text] in str(raised.value)


# -- notifications (RFC 3416, section 4.2.6 and 4.2.7; RFC 1157, section 4.1.6) ----------------------


def test_a_trap_begins_with_the_time_since_boot() -> None:
    device = agent()
    device.wait(3)
    device.say(pdu="TRAP", bindings=[LINK_DOWN])
    (trap,) = device.sent
    assert told(trap) == [(UP_TIME, "TIMETICKS", 300), (TRAP_OID, "OID", LINK_DOWN["value"])]
    assert (trap["version"], trap["community"], trap["error"]) == (2, "public", "NO_ERROR")
    device.say(pdu="TRAP", bindings=[{"oid": UP_TIME, "type": "TIMETICKS", "value": 1}, LINK_DOWN])
    assert [value for _, _, value in told(device.sent[1])] == [1, LINK_DOWN["value"]]
    assert device.sent[0]["request_id"] != device.sent[1]["request_id"]


def test_a_trap_of_v1_says_who_and_when() -> None:
    device = Transcript(
        "snmp",
        model={
            "read_community": "see",
            "objects": {"1.3.6.1.2.1.1.2.0": {"type": "OID", "value": OURS}},
        },
    )
    device.wait(3)
    device.say(pdu="TRAP", version=1, generic_trap="LINK_DOWN", bindings=[written("7.0", 7)])
    (trap,) = device.sent
    assert trap == {
        "version": 1,
        "community": "see",
        "pdu": "TRAP",
        "enterprise": OURS,
        "agent_addr": "10.77.1.1",
        "generic_trap": "LINK_DOWN",
        "specific_trap": 0,
        "time_stamp": 300,
        "bindings": [written("7.0", 7)],
    }


def test_notifications_go_to_the_declared_port_and_not_to_who_asks_from_another() -> None:
    device = agent()
    device.say(pdu="TRAP", bindings=[LINK_DOWN])
    device.receive(pdu="GET", bindings=asked(NAME), peer="10.77.0.1:51234")
    device.say(pdu="TRAP", bindings=[LINK_DOWN])
    device.say(pdu="TRAP", bindings=[LINK_DOWN], to="10.77.0.9:1162")
    device.receive(pdu="GET", bindings=asked(NAME), peer="10.77.0.1:40000")
    device.say(pdu="TRAP", bindings=[LINK_DOWN])
    assert [line.split(" v2 ")[0] for line in device.lines() if " TRAP " in line] == [
        "0.000 ->",
        "0.000 ->",
        "0.000 -> 10.77.0.9:1162",
        "0.000 -> 10.77.0.1:162",
    ]


def test_a_late_acknowledgement_does_not_make_its_sender_one_that_asks() -> None:
    device = agent()
    device.receive(pdu="RESPONSE", peer="10.77.0.9:1162")
    device.say(pdu="TRAP", bindings=[LINK_DOWN], to="10.77.0.9:1162")
    assert "-> 10.77.0.9:1162 v2 TRAP" in device.lines()[-1]


def test_a_device_without_an_address_of_ipv4_has_none_in_a_trap_of_v1() -> None:
    """RFC 3584, section 3.1 (2)."""
    device = agent(address=["fd77::1:1"])
    device.say(pdu="TRAP", version=1, to="[fd77::1]:162")
    assert device.sent[0]["agent_addr"] == "0.0.0.0"


def informs(device: Transcript) -> list[tuple[float, str]]:
    """When informs were sent, and at which layers."""
    lines = [line.split(" ", 1) for line in device.lines() if "-> v2 INFORM" in line]
    return [(float(t), "wire" if line.endswith("[wire]") else "") for t, line in lines]


def test_an_inform_is_repeated_until_it_is_acknowledged() -> None:
    device = agent(model={"inform_timeout": "2s", "inform_retries": 5})
    device.say(pdu="INFORM", bindings=[LINK_DOWN])
    number = device.sent[0]["request_id"]
    device.wait(7)
    device.receive(pdu="RESPONSE", request_id=number + 1)
    device.receive(pdu="RESPONSE", request_id=number, peer="10.77.0.2:40000")
    device.wait(8)
    device.receive(pdu="RESPONSE", request_id=number)
    device.wait(1000)
    assert informs(device) == [(0, ""), (2, "wire"), (6, "wire"), (14, "wire")]
    assert len(set(device.datagrams)) == 1
    assert not [event for event in device.events if isinstance(event, (Note, SessionFailed))]


def test_an_inform_that_nobody_acknowledges_is_given_up() -> None:
    device = agent(model={"inform_timeout": "1s", "inform_retries": 2})
    device.say(pdu="INFORM", request_id=7, bindings=[LINK_DOWN])
    device.wait(1000)
    assert informs(device) == [(0, ""), (1, "wire"), (3, "wire")]
    (note,) = [event for event in device.events if isinstance(event, Note)]
    assert note.text == "device[0]: the inform 7 to 10.77.0.1:40000 is not acknowledged"


def test_informs_at_the_same_time_are_acknowledged_each_by_its_own() -> None:
    device = agent(model={"inform_timeout": "1s", "inform_retries": 1})
    for number in (1, 2):
        device.say(pdu="INFORM", request_id=number, bindings=[LINK_DOWN])
    device.receive(pdu="RESPONSE", request_id=2)
    device.wait(1)
    assert [message["request_id"] for message in device.sent] == [1, 2, 1]


def test_a_reboot_ends_the_repetitions_of_an_inform() -> None:
    device = agent(model={"inform_timeout": "1s"})
    device.say(pdu="INFORM", bindings=[LINK_DOWN])
    device.reboot()
    device.wait(100)
    assert len(informs(device)) == 1


# -- BER (X.690, RFC 3417, section 8) ----------------------------------------------------------------


def datagram(request: str, community: str = "0406 7075626c6963", version: str = "020101") -> bytes:
    """A message with that PDU, in hex."""
    contents = bytes.fromhex(version + community + request)
    return b"\x30\x82" + len(contents).to_bytes(2, "big") + contents


def pdu(bindings: str, head: str = "020101 020100 020100", tag: str = "a0") -> str:
    inner = bytes.fromhex(bindings)
    contents = bytes.fromhex(head) + b"\x30\x82" + len(inner).to_bytes(2, "big") + inner
    return tag + "82" + len(contents).to_bytes(2, "big").hex() + contents.hex()


def binding(value: str, oid: str = "0603 2b0601") -> str:
    inner = bytes.fromhex(oid + value)
    return "30" + "82" + len(inner).to_bytes(2, "big").hex() + inner.hex()


READ: dict[str, tuple[str, Any]] = {
    "a negative number": ("0202 ff7f", -129),
    "the least": ("0204 80000000", -(1 << 31)),
    "padding": ("0208 ffffffffffffff7f", -129),
    "the largest counter": ("4109 0000000000ffffffff", (1 << 32) - 1),
    "the largest long counter": ("4609 00ffffffffffffffff", (1 << 64) - 1),
    "an empty text": ("0400", ""),
    "UTF-8": ("0404 c3a4c3b6", "äö"),
    "no UTF-8": ("0401 e4", b"\xe4"),
    "a length of four octets": ("0484 00000001 41", "A"),
    "sub-identifiers of 32 bits": ("0606 2b 8fffffff7f", "1.3.4294967295"),
    "the second root": ("0603 883703", "2.999.3"),
    "opaque octets": ("4402 3000", b"\x30\x00"),
}


@pytest.mark.parametrize("what", READ)
def test_values_are_read_in_all_forms_that_are_allowed(what: str) -> None:
    octets, value = READ[what]
    message = CODEC.decode(datagram(pdu(binding(octets))))
    assert message["bindings"][0]["value"] == value
    again = CODEC.decode(CODEC.encode(message))
    assert again == message


ONE = binding("0500")
REFUSED_DATAGRAMS: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "ends within a tag or a length"),
    "a tag alone": (b"\x30", "ends within a tag or a length"),
    "no sequence": (b"\x31\x00", "a tag 0x31 where 0x30 must be"),
    "an indefinite length": (bytes.fromhex("3080 020101 0000"), "the indefinite form"),
    "a length that lies": (bytes.fromhex("3005 020101"), "5 octets announced, 3 are there"),
    "a length beyond all": (b"\x30\xfe" + b"\xff" * 126, "very many octets announced"),
    "a length that is cut": (b"\x30\x84\x00\x00", "ends within a length"),
    "octets after the message": (datagram(pdu(ONE)) + b"\0", "1 byte is left over"),
    "octets after the PDU": (datagram(pdu(ONE) + "0500"), "2 octets are left over"),
    "octets after the bindings": (datagram("a00d 020101 020100 020100 3000 0500"), "2 octets are left"),
    "octets after a value": (datagram(pdu(binding("0500 0500"))), "2 octets are left over"),
    "v3": (datagram(pdu(ONE), version="020103"), "SNMPv3, and neither v1 (0) nor v2c (1)"),
    "v2p": (datagram(pdu(ONE), version="020102"), "the version 2, and neither"),
    "no community": (datagram(pdu(ONE), community="0500"), "a tag 0x05 where 0x04 must be"),
    "no such PDU": (datagram(pdu(ONE, tag="a9")), "no PDU of v2 has the tag 0xa9"),
    "a v1 trap in v2c": (datagram(pdu(ONE, tag="a4")), "no PDU of v2 has the tag 0xa4"),
    "a getbulk in v1": (datagram(pdu(ONE, tag="a5"), version="020100"), "no PDU of v1 has the tag 0xa5"),
    "a trap of v2c in v1": (datagram(pdu(ONE, tag="a7"), version="020100"), "no PDU of v1 has the tag 0xa7"),
    "a counter64 in v1": (
        datagram(pdu(binding("460101")), version="020100"),
        "no value of v1 has the tag 0x46",
    ),
    "a constructed text": (datagram(pdu(binding("2403 040141"))), "no value of v2 has the tag 0x24"),
    "an integer beyond 32 bits": (datagram(pdu(binding("0205 0100000000"))), "4294967296 is no INTEGER"),
    "an integer of 17 octets": (datagram(pdu(binding("0211" + "00" * 17))), "a number of 17 octets"),
    "an integer without octets": (datagram(pdu(binding("0200"))), "a number of 0 octets"),
    "a counter below zero": (datagram(pdu(binding("4104 ffffffff"))), "-1 is no COUNTER32"),
    "a counter64 beyond 64 bits": (
        datagram(pdu(binding("4609 010000000000000000"))),
        "18446744073709551616 is no COUNTER64",
    ),
    "a request id beyond": (datagram(pdu(ONE, head="0205 0100000000 020100 020100")), "is no INTEGER"),
    "an empty identifier": (datagram(pdu(binding("0500", oid="0600"))), "an object identifier of 0"),
    "an endless identifier": (
        datagram(pdu(binding("0500", oid="0602 2b81"))),
        "ends within a sub-identifier",
    ),
    "a padded identifier": (datagram(pdu(binding("0500", oid="0603 2b8001"))), "leading zeros"),
    "a sub-identifier beyond 32 bits": (
        datagram(pdu(binding("0500", oid="0606 2b 9080808000"))),
        "a sub-identifier of 33 bits",
    ),
    "an identifier of 129 numbers": (
        datagram(pdu(binding("0500", oid="068180 2b" + "01" * 127))),
        "of more than 128 numbers",
    ),
    "an identifier beyond all": (
        datagram(pdu(binding("0500", oid="06820400" + "ff" * 1024))),
        "an object identifier of 1024 octets",
    ),
    "an address of five octets": (datagram(pdu(binding("4005 0102030405"))), "an IPADDRESS of 5"),
    "a null with a value": (datagram(pdu(binding("0501 00"))), "a NULL with a value"),
    "NsapAddress": (datagram(pdu(binding("4501 00"))), "no value of v2 has the tag 0x45"),
    "a binding without a value": (datagram(pdu(binding(""))), "ends within a tag or a length"),
    "bindings in bindings": (datagram(pdu("30" * 100)), "48 octets announced, 46 are there"),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED_DATAGRAMS)
def test_what_is_no_message_is_refused_and_not_answered(what: str) -> None:
    data, reason = REFUSED_DATAGRAMS[what]
    with pytest.raises(DecodeError) as raised:
        CODEC.decode(data)
    assert reason in raised.value.reason
    assert agent().receive(data) == []


def test_an_error_says_where_it_is() -> None:
    with pytest.raises(DecodeError) as raised:
        CODEC.decode(datagram(pdu(ONE + binding("0200"))))
    assert (raised.value.path, raised.value.offset) == ("bindings.1.value", 54)


UNWRITABLE: dict[str, tuple[dict[str, Any], str, str]] = {
    "no PDU": ({"pdu": "PUT"}, "v2 has no PDU 'PUT'", "pdu"),
    "a getbulk in v1": ({"pdu": "GETBULK", "version": 1}, "v1 has no PDU 'GETBULK'", "pdu"),
    "a version": ({"pdu": "GET", "version": 3}, "3 is neither 1 (v1) nor 2 (v2c)", "version"),
    "a community": ({"pdu": "GET", "community": "€"}, "no text in Latin-1", "community"),
    "an error": ({"pdu": "RESPONSE", "error": "BAD"}, "there is no value named 'BAD'", "error"),
    "an identifier": (
        {"pdu": "GET", "bindings": [{"oid": "x"}]},
        "'x' is no object",
        "bindings.0.oid",
    ),
    "no identifier": ({"pdu": "GET", "bindings": [{}]}, "'None' is no object", "bindings.0.oid"),
    "a type": (
        {"pdu": "GET", "bindings": [{"oid": "1.3", "type": "FLOAT"}]},
        "there is no type 'FLOAT'",
        "bindings.0.type",
    ),
    "a counter64 in v1": (
        {"pdu": "GET", "version": 1}
        | {"bindings": [{"oid": "1.3"}, {"oid": "1.3", "type": "COUNTER64", "value": 1}]},
        "v1 has no COUNTER64",
        "bindings.1.type",
    ),
    "a value": (
        {"pdu": "GET", "bindings": [{"oid": "1.3", "type": "GAUGE32", "value": -1}]},
        "-1 is no GAUGE32, which is 0 to 4294967295",
        "bindings.0.value",
    ),
    "a value of nothing": (
        {"pdu": "GET", "bindings": [{"oid": "1.3", "type": "NULL", "value": 1}]},
        "a NULL has no value",
        "bindings.0.value",
    ),
    "an address": (
        {"pdu": "TRAP", "version": 1, "agent_addr": "fd77::1"},
        "'fd77::1' is no IPADDRESS",
        "agent_addr",
    ),
}


@pytest.mark.parametrize("what", UNWRITABLE)
def test_what_cannot_be_a_message_is_told(what: str) -> None:
    fields, reason, path = UNWRITABLE[what]
    with pytest.raises(EncodeError) as raised:
        CODEC.encode(fields)
    assert raised.value.path == path
    assert reason in raised.value.reason


def test_values_without_a_type_are_of_their_own() -> None:
    values = [1, "text", b"\xff", None]
    bindings = [{"oid": "1.3.6", "value": value} for value in values]
    message = CODEC.decode(CODEC.encode({"pdu": "SET", "bindings": bindings}))
    assert [kind for _, kind, _ in told(message)] == ["INTEGER", "OCTETS", "OCTETS", "NULL"]
    assert [value for _, _, value in told(message)] == values


def test_two_messages_of_the_same_bindings_do_not_share_them() -> None:
    data = LOADED.vectors[0].data
    message, unchanged = CODEC.decode(data), CODEC.decode(data)
    message["bindings"][0]["value"] = "changed"
    message["bindings"].append("more")
    message["pdu"] = "SET"
    assert CODEC.decode(data) == unchanged
    message = CODEC.decode(data)
    _, told = CODEC.tell(message)
    message["bindings"][0]["value"] = "changed"
    message["bindings"].append("more")
    assert told == unchanged


@pytest.mark.parametrize("community", ["", "public", "c" * 120, "c" * 128])
@pytest.mark.parametrize("pdu", ["GET", "GETBULK", "INFORM"])
@pytest.mark.parametrize("count", [0, 1, 7, 20, 40])
def test_messages_of_another_request_id_differ_in_that(
    community: str, pdu: str, count: int
) -> None:
    bindings = [{"oid": f"1.3.6.1.2.1.{row}"} for row in range(count)]
    fields = {"version": 2, "community": community, "pdu": pdu, "bindings": bindings}
    first = CODEC.decode(CODEC.encode({**fields, "request_id": 1}))
    numbers = (0, 127, -128, 128, -129, 1 << 15, 1 << 23, -(1 << 23), (1 << 31) - 1, -(1 << 31))
    for number in (*numbers, *numbers):
        message = CODEC.decode(CODEC.encode({**fields, "request_id": number}))
        assert message == {**first, "request_id": number}
        assert list(message) == list(first)


def anew(data: bytes) -> dict[str, Any]:
    """What `data` say, read without regard to what was read before: as is done within other bytes."""
    message, end = read_message(b"\0" + data, 1)
    if end != len(data) + 1:
        raise DecodeError("octets are left over")
    assert is_plain(message)
    return dict(message)


def test_what_is_remembered_is_what_is_read() -> None:
    chance = random.Random(11)
    seeds = [vector.data for vector in LOADED.vectors]
    more = {"pdu": "GET", "bindings": [{"oid": f"1.3.6.1.2.1.{row}"} for row in range(20)]}
    seeds.append(CODEC.encode({**more, "request_id": 1 << 24}))
    decoded = 0
    for _ in range(6000):
        data = bytearray(chance.choice(seeds))
        if chance.random() < 0.5:  # another request id, or what stands in its place
            at = data.index(b"\x02", 6)
            data[at + 2 : at + 2 + data[at + 1]] = chance.randbytes(data[at + 1])
        if chance.random() < 0.5:
            data[chance.randrange(len(data))] = chance.choice((0, 1, 2, 4, 5, 0x30, 0x7F, 0x81))
        try:
            expected = anew(bytes(data))
        except DecodeError:
            with pytest.raises(DecodeError):
                CODEC.decode(bytes(data))
            continue
        decoded += 1
        message = CODEC.decode(bytes(data))
        assert message == expected
        assert list(message) == list(expected)
    assert decoded > 2000


def test_all_that_is_written_can_be_read() -> None:
    assert CODEC.symmetric
    chance = random.Random(17)
    messages = [CODEC.decode(vector.data) for vector in LOADED.vectors]
    values = [0, -1, 127, 1 << 31, (1 << 64) - 1, True, 1.5, None, "", "x" * 300, b"\xff" * 300]
    values += ["1.3", "2.4294967295", "1." + ".".join(["39"] * 127), "10.0.0.1", "é", *TYPES]
    written = 0
    for _ in range(20_000):
        message = dict(chance.choice(messages))
        message["bindings"] = [dict(one) for one in message["bindings"]]
        for _ in range(chance.randrange(1, 4)):
            place = chance.choice([message, *message["bindings"]])
            name = chance.choice([name for name in place if name != "bindings"])
            place[name] = chance.choice(values)
        try:
            data = CODEC.encode(message)
        except EncodeError:
            continue
        written += 1
        CODEC.decode(data)
    assert written > 1000


def test_mutated_messages_break_neither_the_codec_nor_the_agent() -> None:
    chance = random.Random(5)
    device = agent(WRITABLE, state=STATE)
    seeds = [vector.data for vector in LOADED.vectors]
    decoded = 0
    for _ in range(4000):
        data = bytearray(chance.choice(seeds).replace(b"\x06public", b"\x07private"))
        data[1] += len(data) - 2 - data[1] if data[1] < 0x80 else 0
        for _ in range(chance.randint(1, 3)):
            where = chance.randrange(len(data))
            if chance.random() < 0.7:
                data[where] = chance.choice((0, 1, 0x7F, 0x80, 0xFF, chance.randrange(256)))
            else:
                data[where : where + chance.randint(0, 3)] = chance.randbytes(chance.randint(0, 3))
        try:
            message = CODEC.decode(bytes(data))
        except DecodeError:
            pass
        else:
            decoded += 1
            assert CODEC.decode(CODEC.encode(message)) == message
        device.receive(bytes(data))
    assert decoded > 400
    assert all(len(payload) <= 1472 for _, payload in device.datagrams)
    assert not [
        event for event in device.events if isinstance(event, (DeviceFailed, SessionFailed))
    ]


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"community": "näh"},
        {"error": 3},
        {"error": "GEN_ERR"},
        {"request_id": -129},
        {"community": "c" * 128},
        {"pdu": "TRAP"},
    ],
)
@pytest.mark.parametrize(
    "binding",
    [
        {"oid": "1.3.6.1.2.1.1.3.0", "type": "TIMETICKS", "value": 5},
        {"oid": "1.3.6.1.2.1.1.3.0", "type": "OCTETS", "value": 5},
        {"oid": "1.3.6.1.2.1.1.3.0", "type": "OCTETS", "value": "21.5 °C"},
        {"oid": "1.3.6.1.2.1.1.3.0", "type": "OCTETS", "value": "\x01"},
        {"oid": "1.3.6.1.2.1.1.3.0", "type": "OCTETS", "value": b"\xff"},
        {"oid": "1.3.6.1.2.1.1.3.0", "type": "INTEGER", "value": True},
        {"oid": "1.3.6.1.2.1.1.3.0", "value": 7},
        {"oid": "1.3.6.1.2.1.1.3.0", "type": None, "value": None},
        {"oid": "1.3.6.1.2.1.1.3.0", "type": "COUNTER32", "value": (1 << 32) - 1},
        {"oid": "1.3.6.1.2.1.1.3.0", "type": "OCTETS", "value": "x" * 200},
        {"oid": "1.3.6.1.2.1.01.3.0", "type": "INTEGER", "value": 7},
        {"oid": "1.3.6.1.2.1.1.2.0", "type": "OID", "value": "1.3.6.1.4.1.9"},
        {"oid": "1.3.6.1.2.1.1.2.0", "type": "NO_SUCH_OBJECT", "value": None},
        {"oid": "1.3.6.1.2.1.1.2.0", "type": "IPADDRESS", "value": "10.0.0.01"},
    ],
)
def test_what_is_sent_is_told_as_it_is_read(
    changed: dict[str, Any], binding: dict[str, Any]
) -> None:
    codec = load_protocol("snmp").protocol.codec
    message = {
        "version": 2,
        "community": "public",
        "pdu": "RESPONSE",
        "request_id": 7,
        "error": "NO_ERROR",
        "index": 0,
        "bindings": [binding],
        **changed,
    }
    data, told = codec.tell(message)
    assert data == codec.encode(message)
    assert list(told.items()) == list(codec.decode(data).items())


def test_a_trap_of_v1_is_told_with_the_fields_that_it_has() -> None:
    fields = {"version": 1, "community": "public", "pdu": "TRAP", "request_id": 7}
    data, told = CODEC.tell({**fields, "error": "NO_ERROR", "index": 0, "bindings": []})
    assert "request_id" not in told
    assert list(told.items()) == list(CODEC.decode(data).items())
