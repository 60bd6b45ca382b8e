"""What the bundled protocols say of messages in their conversations, to who reads a capture."""

from __future__ import annotations

import functools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.capture.conversation import CLIENT, Conversation

from iotsim.protocol.registry import is_bundled, list_protocols, load_protocol

# -- CoAP (RFC 7252, RFC 7641, RFC 7959) --------------------------------------------------------------


def coap() -> Conversation:
    return Conversation("coap")


def get(
    path: str = "/t", number: int = 1, token: bytes = b"\x01", **fields: object
) -> dict[str, object]:
    return {"code": "GET", "path": path, "message_id": number, "token": token, **fields}


def content(kind: str, number: int, token: bytes = b"\x01", **fields: object) -> dict[str, object]:
    return {"type": kind, "code": "CONTENT", "message_id": number, "token": token, **fields}


def test_coap_answers_in_the_acknowledgement_and_retransmissions() -> None:
    talk = coap()
    assert talk.ask(**get(), t=0.0) == ""
    assert talk.ask(**get(), t=2.0) == "retransmission of #1"
    assert talk.tell(**content("ACK", 1), t=2.25) == "answers #1 after 2.25 s"
    assert talk.tell(**content("ACK", 1), t=2.5) == "duplicate of #3"
    assert talk.ask(**get(number=2), type="NON") == ""
    assert talk.ask(**get(number=2), type="NON") == "duplicate of #5"


def test_coap_separate_responses() -> None:
    """RFC 7252, section 5.2.2."""
    talk = coap()
    talk.ask(**get(), t=0.0)
    assert (
        talk.tell(type="ACK", code="EMPTY", message_id=1, t=0.25) == "acknowledges #1 after 250 ms"
    )
    assert talk.tell(**content("CON", 900), t=3.0) == "answers #1 after 3 s"
    assert talk.tell(**content("CON", 900), t=5.0) == "retransmission of #3"
    assert (
        talk.ask(type="ACK", code="EMPTY", message_id=900, t=5.25) == "acknowledges #3 after 2.25 s"
    )
    assert talk.ask(type="ACK", code="EMPTY", message_id=901) == ""  # of what nobody has seen


def test_coap_ids_of_both_sides_are_apart_and_one_that_is_used_twice_is_told() -> None:
    """RFC 7252, section 4.4."""
    talk = coap()
    talk.ask(**get(number=7))
    assert talk.tell(**content("CON", 7, b"\x02")) == ""
    assert talk.ask(type="ACK", code="EMPTY", message_id=7, t=1.0) == "acknowledges #2 after 900 ms"
    assert talk.ask(**get("/other", number=7)) == "has the id of #1"
    assert talk.ask(**get("/other", number=7), t=400.0) == ""  # after EXCHANGE_LIFETIME


def test_coap_ping_and_what_is_not_wanted_are_reset() -> None:
    talk = coap()
    talk.ask(type="CON", code="EMPTY", message_id=5)
    assert talk.tell(type="RST", code="EMPTY", message_id=5) == "resets #1"


def test_coap_a_group_answers_in_messages_of_its_members() -> None:
    talk = coap()
    talk.ask(**get(), type="NON", to="224.0.1.187:5683", t=0.0)
    assert talk.tell(**content("NON", 1), t=0.5) == "answers #1 after 500 ms"
    other = "10.77.1.2:5683"
    assert talk.tell(**content("NON", 1), sender=other, t=0.75) == "answers #1 after 750 ms"


def test_coap_notifications_are_counted_until_the_observation_ends() -> None:
    """RFC 7641."""
    talk = coap()
    assert talk.ask(**get(observe=0), t=0.0) == "begins an observation"
    assert talk.tell(**content("ACK", 1, observe=1), t=0.5) == "answers #1 after 500 ms"
    assert talk.tell(**content("NON", 50, observe=2)) == "notification 1 of observation #1"
    assert talk.tell(**content("CON", 51, observe=3), t=9.0) == "notification 2 of observation #1"
    assert talk.ask(type="ACK", code="EMPTY", message_id=51, t=10.0) == "acknowledges #4 after 1 s"
    assert talk.ask(**get(number=2, observe=0), t=11.0) == "renews observation #1"
    assert talk.tell(**content("ACK", 2, observe=4), t=11.5) == "answers #6 after 500 ms"
    # A day later it is still one.
    said = talk.tell(**content("CON", 52, observe=5), t=86400.0)
    assert said == "notification 1 of observation #6"
    assert (
        talk.ask(type="RST", code="EMPTY", message_id=52) == "resets #8, which ends observation #6"
    )


def test_coap_an_observation_that_the_client_ends() -> None:
    """RFC 7641, section 3.6."""
    talk = coap()
    talk.ask(**get(observe=0))
    talk.tell(**content("ACK", 1, observe=1))
    assert talk.ask(**get(number=2, observe=1), t=1.0) == "ends observation #1"
    assert talk.tell(**content("ACK", 2), t=1.5) == "answers #3 after 500 ms"


def block(number: int, more: bool, size: int = 64) -> dict[str, object]:
    return {"number": number, "more": more, "size": size}


def test_coap_blocks_of_a_response() -> None:
    """RFC 7959, section 2.4; the size is told once (section 4)."""
    talk = coap()
    talk.ask(**get("/fw"), t=0.0)
    said = talk.tell(**content("ACK", 1, block2=block(0, True), size2=150), t=0.5)
    assert said == "answers #1 after 500 ms; block 1 of 3 of /fw"
    assert (
        talk.ask(**get("/fw", 2, b"\x02", block2=block(1, False)), t=1.0)
        == "asks for block 2 of /fw"
    )
    said = talk.tell(**content("ACK", 2, b"\x02", block2=block(1, True)), t=1.5)
    assert said == "answers #3 after 500 ms; block 2 of 3 of /fw"
    talk.ask(**get("/fw", 3, b"\x03", block2=block(2, False)), t=2.0)
    said = talk.tell(**content("ACK", 3, b"\x03", block2=block(2, False)), t=2.5)
    assert said == "answers #5 after 500 ms; block 3 of 3 of /fw"


def test_coap_blocks_of_a_request_of_unknown_length() -> None:
    """RFC 7959, section 2.5."""
    talk = coap()
    put = {"code": "PUT", "path": "/fw", "token": b"\x01"}
    assert talk.ask(**put, message_id=1, block1=block(0, True)) == "block 1 of the body for /fw"
    talk.tell(type="ACK", code="CONTINUE", message_id=1, token=b"\x01", block1=block(0, True))
    assert (
        talk.ask(**put, message_id=2, block1=block(1, False)) == "block 2 of 2 of the body for /fw"
    )


# -- TFTP (RFC 1350, RFC 2347 to 2349) ----------------------------------------------------------------

TRANSFER = "10.77.1.1:50123"


def option(name: str, value: int) -> dict[str, str]:
    return {"name": name, "value": str(value)}


def test_tftp_a_file_that_is_read_from_another_port() -> None:
    talk = Conversation("tftp")
    rrq = {
        "opcode": "RRQ",
        "filename": "fw.bin",
        "options": [option("tsize", 0), option("blksize", 600)],
    }
    assert talk.ask(**rrq, t=0.0) == ""
    assert talk.ask(**rrq, t=1.0) == "repeats #1"
    oack = {"opcode": "OACK", "options": [option("tsize", 1300), option("blksize", 600)]}
    assert talk.tell(**oack, sender=TRANSFER, t=1.5) == "answers #1 after 1.5 s"
    assert talk.ask(opcode="ACK", block=0, to=TRANSFER) == "takes the options"
    data = {"opcode": "DATA", "data": bytes(600)}
    assert talk.tell(**data, block=1, sender=TRANSFER) == "block 1 of 3 of fw.bin"
    assert talk.tell(**data, block=1, sender=TRANSFER) == "block 1 of 3 of fw.bin, repeated"
    assert talk.ask(opcode="ACK", block=1, to=TRANSFER) == "acknowledges block 1 of fw.bin"
    assert (
        talk.ask(opcode="ACK", block=1, to=TRANSFER) == "acknowledges block 1 of fw.bin, repeated"
    )
    assert talk.tell(**data, block=2, sender=TRANSFER) == "block 2 of 3 of fw.bin"
    error = {"opcode": "ERROR", "code": "DISK_FULL", "message": "full"}
    assert talk.ask(**error, to=TRANSFER) == "ends the transfer of fw.bin that #1 began"
    assert dict(talk.decoder.skipped) == {}


def test_tftp_a_file_that_is_written() -> None:
    talk = Conversation("tftp")
    assert talk.ask(opcode="WRQ", filename="log", options=[option("tsize", 513)], t=0.0) == ""
    assert talk.tell(opcode="ACK", block=0, sender=TRANSFER, t=0.5) == "answers #1 after 500 ms"
    data = {"opcode": "DATA", "to": TRANSFER}
    assert talk.ask(**data, block=1, data=bytes(512)) == "block 1 of 2 of log"
    assert talk.tell(opcode="ACK", block=1, sender=TRANSFER) == "acknowledges block 1 of log"
    assert talk.ask(**data, block=2, data=b"x") == "block 2 of 2 of log"


def test_tftp_more_blocks_than_there_are_numbers() -> None:
    talk = Conversation("tftp")
    talk.ask(opcode="RRQ", filename="big")
    for block_number in range(1, 65_540):
        said = talk.tell(
            opcode="DATA", block=block_number & 0xFFFF, data=b"", sender=TRANSFER, t=0.0
        )
    assert said == "block 65539 of big"


def test_tftp_other_ports_are_others_business() -> None:
    talk = Conversation("tftp")
    ack = talk.protocol.codec.encode({"opcode": "ACK", "block": 1})
    assert talk.send(ack, CLIENT, TRANSFER) is None
    talk.ask(opcode="RRQ", filename="fw.bin", t=0.0)
    assert talk.send(ack, CLIENT, "10.77.1.2:50123") is None
    assert talk.send(ack, CLIENT, TRANSFER, t=100.0) is None  # it must be over by then
    assert dict(talk.decoder.skipped) == {"UDP at other ports": 3}


# -- others --------------------------------------------------------------------------------------------


def test_snmp_answers_and_acknowledgements() -> None:
    talk = Conversation("snmp")
    asked = {"version": 2, "community": "public", "request_id": 7, "bindings": []}
    told = {**asked, "pdu": "RESPONSE"}
    assert talk.ask(**asked, pdu="GET", t=0.0) == ""
    assert talk.ask(**asked, pdu="GET", t=1.0) == "repeats #1"
    assert talk.tell(**told, t=1.5) == "answers #1 after 1.5 s"
    assert talk.tell(**asked, pdu="INFORM", t=2.0) == ""
    assert talk.ask(**told, t=2.5) == "acknowledges #4 after 500 ms"
    assert talk.tell(**asked, pdu="TRAP") == ""
    assert talk.ask(**{**told, "request_id": 8}) == ""


def test_modbus_answers_and_exceptions() -> None:
    talk = Conversation("modbus")
    asked = {"transaction": 1, "unit": 1, "function": "READ_COILS", "address": 1, "count": 8}
    talk.ask(**asked, t=0.0)
    told = {"transaction": 1, "unit": 1, "function": "READ_COILS", "bits": [True] * 8}
    assert talk.tell(**told, t=0.5) == "answers #1 after 500 ms"
    talk.ask(**{**asked, "transaction": 2}, t=1.0)
    refused = {"function": "READ_COILS_ERROR", "exception": "ILLEGAL_DATA_ADDRESS"}
    assert talk.tell(transaction=2, unit=1, **refused, t=1.5) == "refuses #3 after 500 ms"


def test_lifx_an_acknowledgement_and_a_state_for_one_request() -> None:
    talk = Conversation("lifx")
    head = {"source": 2, "sequence": 9}
    talk.ask(**head, type="SET_POWER", level=65535, ack_required=True, res_required=True, t=0.0)
    assert talk.tell(**head, type="ACKNOWLEDGEMENT", t=0.25) == "acknowledges #1 after 250 ms"
    assert talk.tell(**head, type="STATE_POWER", level=0, t=0.5) == "answers #1 after 500 ms"
    assert talk.ask(**head, type="GET_POWER") == ""
    assert talk.tell(source=2, sequence=10, type="STATE_POWER", level=0) == ""


BUNDLED = [name for name, path in list_protocols([]) if path is not None and is_bundled(path)]


@functools.cache
def datagrams() -> list[tuple[str, bytes]]:
    return [(name, vector.data) for name in BUNDLED for vector in load_protocol(name, []).vectors]


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_no_follower_fails_whatever_it_hears(data: st.DataObject) -> None:
    """Vectors, whole and mutated, in both directions, repeated and at odd times."""
    name, _ = data.draw(st.sampled_from(datagrams()))
    own = [datagram for other, datagram in datagrams() if other == name]
    talk = Conversation(name)
    for _ in range(data.draw(st.integers(1, 8))):
        datagram = bytearray(data.draw(st.sampled_from(own)))
        for at, byte in data.draw(
            st.lists(st.tuples(st.integers(0, 40), st.integers(0, 255)), max_size=2)
        ):
            datagram[at : at + 1] = bytes([byte])
        device, group = talk.device, f"224.0.0.1:{talk.protocol.port}"
        ends = [(CLIENT, device), (device, CLIENT), (CLIENT, TRANSFER), (TRANSFER, CLIENT)]
        way = data.draw(st.sampled_from([*ends, (CLIENT, group)]))
        talk.send(bytes(datagram), *way, t=data.draw(st.sampled_from([0.0, 1.0, 61.0, 1e6, -5.0])))
    assert talk.decoder.unfollowed == ""


@pytest.mark.parametrize("name", BUNDLED)
def test_each_vector_is_followed(name: str) -> None:
    talk = Conversation(name)
    for vector in load_protocol(name, []).vectors:
        ends = (talk.device, CLIENT) if vector.answer else (CLIENT, talk.device)
        talk.send(vector.data, *ends)
    assert talk.decoder.unfollowed == ""


def test_long_names_are_shown_in_part() -> None:
    talk = coap()
    said = talk.ask(**get("/p" * 2500, block2=block(1, False)))
    assert said == f"asks for block 2 of {'/p' * 50}…"
    talk = Conversation("tftp")
    talk.ask(opcode="RRQ", filename="p" * 5000)
    said = talk.tell(opcode="DATA", block=1, data=b"", sender=TRANSFER)
    assert said == f"block 1 of {'p' * 100}"


# -- the others, in short ------------------------------------------------------------------------------


def test_mqttsn_by_what_is_asked_and_its_id() -> None:
    talk = Conversation("mqttsn")
    assert talk.tell(kind="CONNECT", client_id="a", duration=60, t=0.0) == ""
    assert talk.tell(kind="CONNECT", client_id="a", duration=60, t=9.0) == "repeats #1"
    assert talk.ask(kind="CONNACK", return_code="ACCEPTED", t=9.5) == "answers #1 after 9.5 s"
    publication = {"kind": "PUBLISH", "topic_id": 1, "data": "x"}
    assert talk.tell(**publication, qos=1, message_id=5, t=10.0) == ""
    assert talk.tell(**publication, qos=0, t=10.0) == ""
    puback = {"kind": "PUBACK", "topic_id": 1, "return_code": "ACCEPTED"}
    assert talk.ask(**puback, message_id=6, t=11.0) == ""
    assert talk.ask(**puback, message_id=5, t=11.0) == "answers #4 after 1 s"
    assert talk.tell(kind="DISCONNECT", duration=5, t=12.0) == ""
    assert talk.ask(kind="DISCONNECT", t=13.0) == "answers #8 after 1 s"


def test_knxnet_by_channel_and_sequence() -> None:
    talk = Conversation("knxnet")
    request = {"service": "CONNECTIONSTATE_REQUEST", "control": {"address": "0.0.0.0", "port": 0}}
    assert talk.ask(**request, channel=1, t=0.0) == ""
    answer = {"service": "CONNECTIONSTATE_RESPONSE", "status": "E_NO_ERROR"}
    assert talk.tell(**answer, channel=2, t=1.0) == ""
    assert talk.tell(**answer, channel=1, t=1.0) == "answers #1 after 1 s"


def test_bacnet_by_invoke_id() -> None:
    talk = Conversation("bacnet")
    read = {"service": "READ_PROPERTY", "object": "device,1", "property": "object-name"}
    assert talk.ask(**read, invoke_id=3, t=0.0) == ""
    assert talk.ask(**read, invoke_id=3, t=2.0) == "repeats #1"
    refusal = {"error_class": "object", "error_code": "unknown-object"}
    error = {"apdu": "ERROR", "service": "READ_PROPERTY", **refusal}
    assert talk.tell(**error, invoke_id=4, t=3.0) == ""
    assert talk.tell(**error, invoke_id=3, t=3.0) == "refuses #1 after 3 s"


def test_semtech_by_token() -> None:
    talk = Conversation("semtech")
    assert talk.tell(kind="PULL_DATA", token=7, eui="AA555A0000000000", t=0.0) == ""
    assert talk.ask(kind="PUSH_ACK", token=7, t=1.0) == ""
    assert talk.ask(kind="PULL_ACK", token=7, t=1.0) == "acknowledges #1 after 1 s"
