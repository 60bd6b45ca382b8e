"""Modbus: a server out of a model, by the sections of the application protocol 1.1b3."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotsim import ScenarioError
from iotsim.testing import Transcript

READ, WRITE = "READ_HOLDING_REGISTERS", "WRITE_MULTIPLE_REGISTERS"
WRONG_ADDRESS, WRONG_VALUE = "ILLEGAL_DATA_ADDRESS", "ILLEGAL_DATA_VALUE"
FAILURE = "SERVER_DEVICE_FAILURE"


def server(model: dict[str, Any] | None = None, **tables: Any) -> Transcript:
    """A device with one unit, 1, which has `tables`, or with `model`."""
    known = ("rules", "state", "signals", "behavior")
    rest = {name: tables.pop(name) for name in known if name in tables}
    return Transcript("modbus", model=model or {"unit": {"1": tables}}, **rest)


def holding(registers: dict[str, Any], **rest: Any) -> Transcript:
    return server(holding=registers, **rest)


def read(device: Transcript, address: int = 0, count: int = 1, function: str = READ) -> Any:
    """Registers, bits, or the exception."""
    (answer,) = device.receive(function=function, address=address, count=count)
    if answer["function"] == f"{function}_ERROR":
        return answer["exception"]
    return answer.get("registers", answer.get("bits"))


def write(device: Transcript, address: int, *registers: int) -> Any:
    """ "done", or the exception."""
    count = len(registers)
    (answer,) = device.receive(
        function=WRITE, address=address, count=count, registers=list(registers)
    )
    if answer["function"] == f"{WRITE}_ERROR":
        return answer["exception"]
    assert (answer["address"], answer["count"]) == (address, count)
    return "done"


def pdu(text: str, unit: int = 1, protocol: int = 0, length: int | None = None) -> bytes:
    """The bytes of a message, with a header."""
    data = bytes([unit]) + bytes.fromhex(text)
    length = len(data) if length is None else length
    return b"\0\x07" + protocol.to_bytes(2, "big") + length.to_bytes(2, "big") + data


def answers(device: Transcript, *datagrams: bytes, peer: str = "10.77.0.1:40000") -> list[str]:
    """The answers to raw messages, without their headers."""
    before = len(device.datagrams)
    for datagram in datagrams:
        device.receive(datagram, peer=peer)
    return [payload[7:].hex(" ") for _, payload in device.datagrams[before:]]


# -- reading ----------------------------------------------------------------------------------------


def test_registers_are_read() -> None:
    """6.3, 6.4"""
    meter = server(holding={"0": 17, "1": 42}, input={"8": 10})
    meter.receive(transaction=7, function=READ, address=0, count=2)
    meter.receive(function="READ_INPUT_REGISTERS", address=8, count=1)
    assert meter.lines() == [
        "0.000 <- READ_HOLDING_REGISTERS unit=1 0 ",
        "0.000 -> READ_HOLDING_REGISTERS unit=1  [17, 42]",
        "0.000 <- READ_INPUT_REGISTERS unit=1 8 ",
        "0.000 -> READ_INPUT_REGISTERS unit=1  [10]",
    ]
    assert [payload[:2].hex() for _, payload in meter.datagrams] == ["0007", "0000"]


def test_bits_are_read_the_lowest_first() -> None:
    """6.1, 6.2; the examples of both"""
    bits = "101100111101011010100000"
    coils = {str(19 + at): bit == "1" for at, bit in enumerate(bits[:19])}
    inputs = {str(196 + at): bit for at, bit in enumerate([0, 0, 1, 1, 0, 1, 0, 1, 1])}
    device = server(coils=coils, discrete_inputs=inputs)
    assert answers(device, pdu("01 0013 0013"), pdu("02 00c4 0009")) == [
        "01 03 cd 6b 05",
        "02 02 ac 01",
    ]


def test_values_are_expressions_over_the_device() -> None:
    device = server(
        holding={"0": "=round(level)", "1": "=state.setpoint", "2": "=t"},
        coils={"0": "=state.pump"},
        signals={"level": {"kind": "constant", "value": 33.4}},
        state={"setpoint": 21, "pump": True},
    )
    device.wait(5)
    assert read(device, 0, 3) == [33, 21, 5]
    assert read(device, function="READ_COILS") == [True] + 7 * [False]


@pytest.mark.parametrize(
    ("register", "registers"),
    [
        (40000, [40000]),
        (True, [1]),
        ({"value": -2, "type": "int16"}, [0xFFFE]),
        ({"value": 100_000, "type": "uint32"}, [1, 34464]),
        ({"value": -1, "type": "int32"}, [0xFFFF, 0xFFFF]),
        ({"value": 1 << 63, "type": "uint64"}, [0x8000, 0, 0, 0]),
        ({"value": -(1 << 63), "type": "int64"}, [0x8000, 0, 0, 0]),
        ({"value": 20.5, "type": "float32"}, [0x41A4, 0]),
        ({"value": 20.5, "type": "float64"}, [0x4034, 0x8000, 0, 0]),
        ({"value": "Tank", "type": "string", "length": 3}, [0x5461, 0x6E6B, 0]),
        ({"value": 21.54, "scale": 0.1}, [215]),
        ({"value": -3000, "type": "int16", "scale": 100}, [0xFFE2]),
        ({"value": 1, "type": "uint32", "word_order": "little"}, [1, 0]),
        ({"value": 1, "byte_order": "little"}, [0x0100]),
        ({"value": 0x01020304, "type": "uint32", "byte_order": "little"}, [0x0201, 0x0403]),
        ({"value": "abc", "type": "string", "length": 2, "word_order": "little"}, [0x6162, 0x6300]),
        ({"value": "ab", "type": "string", "length": 1, "byte_order": "little"}, [0x6261]),
    ],
)
def test_a_value_stands_in_registers(register: Any, registers: list[int]) -> None:
    device = holding({"10": register})
    assert read(device, 10, len(registers)) == registers
    for at, part in enumerate(registers):
        assert read(device, 10 + at) == [part]
    assert write(device, 10, *registers) == "done"
    assert read(device, 10, len(registers)) == registers


def test_the_model_has_an_order_for_all() -> None:
    value = {"value": 0x01020304, "type": "uint32"}
    unit = {"holding": {"0": value, "2": {**value, "word_order": "big"}}}
    device = server({"word_order": "little", "byte_order": "little", "unit": {"1": unit}})
    assert read(device, 0, 4) == [0x0403, 0x0201, 0x0201, 0x0403]


@pytest.mark.parametrize(
    ("kind", "value", "registers"),
    [
        ("uint16", 70_000, [0xFFFF]),
        ("uint16", -1, [0]),
        ("uint16", math.inf, [0xFFFF]),
        ("int16", -40_000.7, [0x8000]),
        ("uint32", 1e12, [0xFFFF, 0xFFFF]),
        ("int32", 1e12, [0x7FFF, 0xFFFF]),
        ("float32", 1e39, [0x7F80, 0]),
        ("float32", -1e39, [0xFF80, 0]),
        ("uint16", math.nan, FAILURE),
        ("uint16", "hot", FAILURE),
        ("float32", "hot", FAILURE),
        ("string", "Überlauf", [0xC39C, 0x6265]),
        ("string", "aüü", [0x61C3, 0xBC00]),
        ("string", 3, FAILURE),
    ],
)
def test_a_number_beyond_its_type_is_the_nearest(kind: str, value: Any, registers: Any) -> None:
    length = {"length": 2} if kind == "string" else {}
    device = holding({"0": {"value": "=state.x", "type": kind, **length}}, state={"x": 0})
    device.device.state["x"] = value
    count = len(registers) if isinstance(registers, list) else 1 + (kind != "uint16")
    assert read(device, 0, count) == registers
    notes = [line for line in device.lines() if "note" in line]
    assert len(notes) == (registers == FAILURE)


# -- writing ----------------------------------------------------------------------------------------


def test_registers_are_written() -> None:
    """6.6, 6.12"""
    device = holding({"1": 0, "2": 0, "3": "=state.speed"}, state={"speed": 7})
    device.receive(function="WRITE_SINGLE_REGISTER", address=1, value=3)
    assert write(device, 2, 10, 258) == "done"
    assert read(device, 1, 3) == [3, 10, 258]
    assert device.device.state["speed"] == 258


def test_coils_are_written() -> None:
    """6.5, 6.11"""
    device = server(
        coils={str(address): False for address in range(19, 28)} | {"28": "=state.pump"},
        state={"pump": True},
    )
    request = pdu("05 0013 ff00"), pdu("0f 0014 0009 02 6601"), pdu("05 0013 0000")
    assert answers(device, *request) == ["05 00 13 ff 00", "0f 00 14 00 09", "05 00 13 00 00"]
    assert answers(device, pdu("01 0013 000a")) == ["01 02 cc 02"]
    assert device.device.state["pump"] is True


def test_what_was_written_is_forgotten_at_a_reboot_but_for_state() -> None:
    device = holding({"0": 1, "1": "=state.speed"}, state={"speed": 7})
    assert write(device, 0, 100, 101) == "done"
    device.reboot()
    assert read(device, 0, 2) == [1, 7]


def test_written_numbers_have_their_scale() -> None:
    device = holding({"0": {"value": "=state.x", "scale": 0.1}}, state={"x": 0})
    assert write(device, 0, 3) == "done"
    assert device.device.state["x"] == 0.3


def test_written_texts_lose_their_padding() -> None:
    text = {"value": "=state.x", "type": "string", "length": 3}
    device = holding({"0": text}, state={"x": ""})
    assert write(device, 0, 0x5461, 0x6E6B, 0) == "done"
    assert device.device.state["x"] == "Tank"
    assert write(device, 0, 0xFF00, 0, 0) == FAILURE
    assert device.device.state["x"] == "Tank"


def test_a_part_of_a_value_is_written() -> None:
    device = holding({"0": {"value": 0x00010002, "type": "uint32"}, "2": 5})
    device.receive(function="WRITE_SINGLE_REGISTER", address=0, value=7)
    assert read(device, 0, 2) == [7, 2]
    assert write(device, 1, 8, 9) == "done"
    assert read(device, 0, 3) == [7, 8, 9]


def test_a_register_is_masked() -> None:
    """6.16; its example"""
    device = holding({"4": 0x12})
    assert answers(device, pdu("16 0004 00f2 0025")) == ["16 00 04 00 f2 00 25"]
    assert read(device, 4) == [0x17]


def test_it_writes_before_it_reads() -> None:
    """6.17"""
    device = holding({str(address): address for address in range(3, 17)})
    request = pdu("17 0003 0006 0005 0003 06 00ff 00fe 00fd")
    assert answers(device, request) == ["17 0c 00 03 00 04 00 ff 00 fe 00 fd 00 08"]


@pytest.mark.parametrize(
    "request_",
    [
        pdu("10 0000 0003 06 0001 0002 0003"),  # 2 is an expression
        pdu("10 0000 0005 0a 0001 0002 0003 0004 0005"),
        pdu("17 0000 0001 0000 0003 06 0001 0002 0003"),
        pdu("17 0009 0001 0000 0002 04 0001 0002"),  # there is nothing to read
        pdu("0f 0000 0003 01 07"),
        pdu("0f 0000 0002 01 03"),  # 1 is an expression
    ],
)
def test_nothing_is_written_where_not_all_can_be(request_: bytes) -> None:
    device = server(holding={"0": 7, "1": 8, "2": "=t"}, coils={"0": False, "1": "=t > 5"})
    (answer,) = answers(device, request_)
    assert answer == f"{request_[7] | 0x80:02x} 02"
    assert read(device, 0, 2) == [7, 8]
    assert read(device, function="READ_COILS")[0] is False


def test_what_is_not_writable() -> None:
    closed = {"value": 1, "writable": False}
    device = server(
        holding={"0": closed, "1": "=t"}, coils={"0": {"value": True, "writable": False}}
    )
    assert write(device, 0, 2) == WRONG_ADDRESS
    assert write(device, 1, 2) == WRONG_ADDRESS
    assert answers(device, pdu("05 0000 0000"), pdu("16 0000 0000 0001")) == ["85 02", "96 02"]
    assert read(device) == [1]


# -- exceptions -------------------------------------------------------------------------------------

ALL = {str(address): 0 for address in range(130)}


@pytest.mark.parametrize(
    ("request_", "answer"),
    [
        ("01 0000 0000", "81 03"),
        ("01 0000 07d1", "81 03"),
        ("01 0000 07d0", "81 02"),
        ("02 0000 07d1", "82 03"),
        ("03 0000 0000", "83 03"),
        ("03 0000 007e", "83 03"),
        ("03 0000 007d", "03 fa" + 250 * " 00"),
        ("03 ffff 0002", "83 02"),
        ("04 ffff 007e", "84 03"),
        ("04 ffff 0001", "84 02"),
        ("05 0000 0001", "85 03"),
        ("05 0000 ff01", "85 03"),
        ("05 ffff ff00", "85 02"),
        ("06 ffff 0001", "86 02"),
        ("0f 0000 0000 00", "8f 03"),
        ("0f 0000 07b1 f7" + 247 * " 00", "8f 03"),
        ("0f 0000 0009 01 00", "8f 03"),
        ("0f 0000 0008 02 0000", "8f 03"),
        ("0f fff0 0008 01 00", "8f 02"),
        ("10 0000 0000 00", "90 03"),
        ("10 0000 007b f6" + 246 * " 00", "10 00 00 00 7b"),
        ("10 0000 007c f8" + 248 * " 00", "90 03"),
        ("10 0000 0001 04 0000 0000", "90 03"),
        ("10 0000 0002 03 0000 00", "90 03"),
        ("10 0000 0002 05 0000 0000 00", "90 03"),
        ("16 ffff 0000 0000", "96 02"),
        ("17 0000 007e 0000 0001 02 0000", "97 03"),
        ("17 0000 0001 0000 007a f4" + 244 * " 00", "97 03"),
        ("17 0000 0001 0000 0002 02 0000", "97 03"),
        ("17 ffff 0001 0000 0001 02 0000", "97 02"),
        ("17 0000 0001 ffff 0001 02 0000", "97 02"),
    ],
)
def test_quantities_come_before_addresses(request_: str, answer: str) -> None:
    """The state diagrams of 6.1 to 6.17"""
    assert answers(server(holding=ALL), pdu(request_)) == [answer]


@pytest.mark.parametrize("function", [0, 7, 8, 11, 12, 17, 20, 21, 24, 65, 110, 127])
def test_a_function_that_is_not_there(function: int) -> None:
    """7, exception 01; 4.1 for what is no function"""
    device = server(holding=ALL)
    assert answers(device, pdu(f"{function:02x} 0000")) == [f"{function | 0x80:02x} 01"]


@pytest.mark.parametrize(
    "request_", ["2b", "2b 0d 00", "2b 0e", "2b 0e 01 00", "2b 0e 01 00 00", "2b 63"]
)
def test_what_the_interface_transport_does_not_carry(request_: str) -> None:
    """6.20, 6.21: without an identification there is none to read, however that is asked for (7, code 01)"""
    assert answers(server(holding=ALL), pdu(request_)) == ["ab 01"]


@pytest.mark.parametrize(
    "request_", ["03", "03 00", "03 0000 00", "03 0000 0001 00", "10 0000 0001"]
)
def test_what_is_not_laid_out_as_its_function_has_it(request_: str) -> None:
    """7, exception 03: "the implied length is incorrect"."""
    assert answers(server(holding=ALL), pdu(request_)) == [f"{int(request_[:2], 16) | 128:02x} 03"]


def test_rules_answer_first() -> None:
    busy = {"function": "READ_COILS_ERROR", "exception": "SERVER_DEVICE_BUSY"}
    device = server(
        coils={"0": True},
        rules=[
            {"when": {"function": "READ_COILS"}, "reply": busy},
            {"when": {"function": 65}, "reply": {"data": "hex:0102"}},
            {"when": {"function": READ, "address": 5}, "reply": {"registers": [9]}},
        ],
    )
    requests = pdu("01 0000 0001"), pdu("41 ff"), pdu("03 0005 0001"), pdu("03 0006 0001")
    assert answers(device, *requests) == ["81 06", "41 01 02", "03 02 00 09", "83 02"]


# -- who is answered --------------------------------------------------------------------------------


def test_units_are_apart_and_others_silent() -> None:
    """The messaging guide, 4.4.2: behind one address there may be several"""
    model = {"unit": {"1": {"holding": {"0": 11}}, "2": {"holding": {"0": 22}}}}
    device = server(model)
    asked = [pdu("03 0000 0001", unit) for unit in (1, 2, 3, 0, 255)]
    assert answers(device, *asked, pdu("03 00", 3), pdu("41", 3)) == ["03 02 00 0b", "03 02 00 16"]
    assert [payload[6] for _, payload in device.datagrams] == [1, 2]


def test_0_and_255_are_the_device_itself() -> None:
    """The messaging guide, 4.4.2.2"""
    device = holding({"0": 11})
    asked = [pdu("03 0000 0001", unit) for unit in (0, 255, 254)]
    assert answers(device, *asked) == ["03 02 00 0b", "03 02 00 0b"]
    assert [payload[6] for _, payload in device.datagrams] == [0, 255]


@pytest.mark.parametrize(
    "datagram",
    [
        b"",
        b"\0",
        pdu("03 0000 0001", protocol=1),
        pdu("03 0000 0001", length=5),
        pdu("03 0000 0001", length=7),
        pdu("83 02"),
        pdu("ff 02"),
        pdu("")[:7],
    ],
)
def test_silence(datagram: bytes) -> None:
    """Messaging guide 3.1.3; and exceptions are answers, which have none"""
    assert answers(holding({"0": 1}), datagram) == []


def test_another_server_is_not_answered() -> None:
    """So that two of them cannot be made to echo each other for ever."""
    device = holding({"0": 1})
    asked = pdu("06 0000 0005"), pdu("03 00"), pdu("03 0000 0001")
    assert answers(device, *asked, peer="10.77.0.1:502") == []
    assert read(device) == [1]


def test_a_broadcast_is_not_answered() -> None:
    device = holding({"0": 1})
    for datagram in (pdu("03 0000 0001"), pdu("06 0000 0007"), pdu("03")):
        device.receive(datagram, at="10.77.255.255")
    assert device.datagrams == []
    assert read(device) == [1]


# -- identification ---------------------------------------------------------------------------------

BASIC = {"vendor_name": "Acme", "product_code": "P-1", "major_minor_revision": "=state.version"}
FULL = {
    **BASIC,
    "vendor_url": "http://acme.example",
    "product_name": "Pump",
    "private": {"128": "=device.name", "200": "x"},
}


def identify(
    identification: dict[str, Any], code: str, object_id: Any = 0, **state: Any
) -> dict[str, Any]:
    device = server(identification=identification, state={"version": "2.1", **state})
    (answer,) = device.receive(
        function="ENCAPSULATED_INTERFACE_TRANSPORT",
        mei_type="READ_DEVICE_IDENTIFICATION",
        read_device_id_code=code,
        object_id=object_id,
    )
    return dict(answer)


def objects(answer: dict[str, Any]) -> dict[Any, str]:
    return {one["id"]: one["value"] for one in answer["objects"]}


def test_the_identification_is_read() -> None:
    """6.21; the bytes of its example, with other texts"""
    device = server(identification=BASIC, state={"version": "2.1"})
    assert answers(device, pdu("2b 0e 01 00")) == [
        "2b 0e 01 81 00 00 03 00 04 41 63 6d 65 01 03 50 2d 31 02 03 32 2e 31"
    ]


def test_each_category_has_those_before_it() -> None:
    """6.21: what is asked for beyond the conformity level is answered by that."""
    basic = {"VENDOR_NAME", "PRODUCT_CODE", "MAJOR_MINOR_REVISION"}
    regular = basic | {"VENDOR_URL", "PRODUCT_NAME"}
    for code, expected in (
        ("BASIC", basic),
        ("REGULAR", regular),
        ("EXTENDED", regular | {128, 200}),
    ):
        answer = identify(FULL, code)
        assert set(objects(answer)) == expected
        assert answer["conformity_level"] == 0x83
        assert (answer["more_follows"], answer["next_object_id"]) == ("NO", "VENDOR_NAME")
    answer = identify(BASIC, "EXTENDED")
    assert set(objects(answer)) == basic
    assert answer["conformity_level"] == 0x81


def test_a_stream_goes_on_from_an_object() -> None:
    """6.21: one that is not there means the first"""
    assert list(objects(identify(FULL, "REGULAR", 3))) == ["VENDOR_URL", "PRODUCT_NAME"]
    assert len(objects(identify(FULL, "REGULAR", 6))) == 5
    assert len(objects(identify(FULL, "BASIC", 4))) == 3


def test_one_object_is_read() -> None:
    """6.21: access 04, and its exceptions"""
    assert objects(identify(FULL, "INDIVIDUAL", "PRODUCT_CODE")) == {"PRODUCT_CODE": "P-1"}
    assert objects(identify(FULL, "INDIVIDUAL", 128)) == {128: "device[0]"}
    assert identify(FULL, "INDIVIDUAL", 129)["exception"] == WRONG_ADDRESS
    assert identify(FULL, 5)["exception"] == WRONG_VALUE  # type: ignore[arg-type]


def test_what_does_not_fit_follows() -> None:
    """6.21: More Follows, and Next Object Id"""
    long = {**BASIC, "vendor_url": 150 * "u", "product_name": 120 * "p", "model_name": "m"}
    answer = identify(long, "REGULAR")
    assert list(objects(answer))[-1] == "VENDOR_URL"
    assert (answer["more_follows"], answer["next_object_id"]) == ("YES", "PRODUCT_NAME")
    rest = identify(long, "REGULAR", answer["next_object_id"])
    assert list(objects(rest)) == ["PRODUCT_NAME", "MODEL_NAME"]
    assert rest["more_follows"] == "NO"


def test_an_object_is_cut_to_what_fits() -> None:
    answer = identify({**BASIC, "product_code": "=state.long"}, "INDIVIDUAL", 1, long=500 * "ü")
    assert objects(answer) == {"PRODUCT_CODE": 122 * "ü"}


# -- mistakes in scenarios --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("unit", "place", "reason"),
    [
        ({"holding": {"0": 65536}}, "holding.0", "65536 is beyond uint16"),
        ({"holding": {"0": "hot"}}, "holding.0", "must be a number, not 'hot'"),
        (
            {"holding": {"0": {"value": "x", "type": "string"}}},
            "holding.0",
            "'length', in registers",
        ),
        ({"holding": {"0": {"value": 1, "length": 2}}}, "holding.0", "'length', in registers"),
        (
            {"input": {"0": {"value": "abc", "type": "string", "length": 1}}},
            "input.0",
            "'abc' is beyond string",
        ),
        ({"holding": {"0": {"value": 1, "scale": 0}}}, "holding.0.scale", "greater than 0"),
        ({"holding": {"0": {"value": "=t", "writable": True}}}, "holding.0", "only '=state.NAME'"),
        ({"holding": {"65536": 1}}, "holding", "must be a number from 0 to 65535"),
        ({"holding": {"x": 1}}, "holding", "must be a number from 0 to 65535"),
        (
            {"holding": {"0": {"value": 1, "type": "float32"}, "1": 1}},
            "unit.1",
            "holding 1 is a part of holding 0, too",
        ),
        ({"input": {"65535": {"value": 1, "type": "int32"}}}, "unit.1", "reaches beyond"),
        ({"coils": {"0": 2}}, "coils.0", "must be true or false"),
        ({"discrete_inputs": {"0": {"value": 1, "writable": True}}}, "writable", "unknown key"),
        ({"identification": {**BASIC, "vendor": "x"}}, "identification", "unknown key"),
        ({"identification": {**BASIC, "private": {"7": "x"}}}, "private", "128"),
    ],
)
def test_mistakes_are_told(unit: dict[str, Any], place: str, reason: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        server(**unit, state={"version": "1"})
    (problem,) = caught.value.problems
    assert place in problem.path
    assert reason in problem.message
    assert problem.line


# -- hostile datagrams ------------------------------------------------------------------------------

FUNCTIONS = [1, 2, 3, 4, 5, 6, 15, 16, 22, 23, 43, 43]
CROWDED = server(
    holding={
        "0": 1,
        "1": {"value": 2.5, "type": "float32"},
        "3": {"value": "x", "type": "string", "length": 2},
    },
    coils={"0": True},
    identification=BASIC,
    state={"version": "1"},
)


@given(st.sampled_from(FUNCTIONS), st.binary(max_size=20), st.integers(0, 3))
def test_any_request_has_one_answer(function: int, body: bytes, spread: int) -> None:
    # Small addresses and counts, so that there is something at them.
    body = bytes(byte % (5 << spread) for byte in body)
    (answer,) = answers(CROWDED, pdu(f"{function:02x}{body.hex()}"))
    assert int(answer[:2], 16) & 0x7F == function
    assert not any("failed" in line for line in CROWDED.lines())


@given(st.binary(max_size=300))
def test_any_bytes(data: bytes) -> None:
    before = len(CROWDED.datagrams)
    CROWDED.receive(data)
    assert len(CROWDED.datagrams) - before <= 1
    assert not any("failed" in line for line in CROWDED.lines())
