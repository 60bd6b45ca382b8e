"""KNXnet/IP: a device by itself, by the sections of 3/8/2 to 3/8/5."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest
import trio
from tests.protocols.knx import GROUP, NAT, OTHER, Client, Device
from tests.protocols.test_coap_fuzz import mutated

from iotsim import ScenarioError
from iotsim.events import DeviceFailed, Note, Received, Sent, SessionFailed
from iotsim.protocol.registry import load_protocol
from iotsim.scenario import load_text
from iotsim.testing import Transcript, simulated
from iotsim.testing.frames import datagram_frame
from iotsim.units import parse_endpoint

if TYPE_CHECKING:
    from pathlib import Path

    from trio.testing import MockClock

TEMPERATURE = {"1/2/3": {"dpt": "9.001", "value": 21.5}}
WRITE: dict[str, Any] = {"apci": "GROUP_VALUE_WRITE"}


def services(messages: Any) -> list[str]:
    return [message["service"] for message in messages]


def telegrams(device: Device, kind: type = Received) -> list[tuple[str, str, Any]]:
    """What rules have seen, or what the device has said."""
    return [
        (event.message["service"], event.message["group"], event.message["value"])
        for event in device.events
        if isinstance(event, kind) and event.layer == "application"
    ]


# -- discovery and self description (3/8/2, section 4) --------------------------------------------------


def test_it_is_found() -> None:
    device = Device(model={"routing": True, "name": "Plant Ä", "serial": "00C5:01020304"})
    discovery = {"address": "10.77.0.9", "port": 5000}
    (answer,) = device.receive(service="SEARCH_REQUEST", discovery=discovery, at=GROUP)
    assert answer["control"] == {
        "host_protocol": "IPV4_UDP",
        "address": "10.77.1.1",
        "port": 3671,
    }
    info, families = answer["dibs"]
    assert (info["name"], info["individual"], info["medium"]) == ("Plant Ä", "1.1.10", "IP")
    assert (info["serial"], info["multicast"]) == (bytes.fromhex("00c501020304"), GROUP)
    assert [one["family"] for one in families["families"]] == [
        *("CORE", "DEVICE_MANAGEMENT", "TUNNELLING", "ROUTING")
    ]
    assert "-> 10.77.0.9:5000 SEARCH_RESPONSE" in str(device)


def test_its_description_is_that_of_a_search() -> None:
    device = Device()
    (found,) = device.receive(service="SEARCH_REQUEST", discovery=NAT)
    (described,) = device.receive(service="DESCRIPTION_REQUEST", control=NAT)
    assert described["dibs"] == found["dibs"]


def search(device: Device, *parameters: dict[str, Any]) -> list[list[str]]:
    """The kinds of the blocks of each answer to an extended search."""
    answers = device.receive(
        service="SEARCH_REQUEST_EXTENDED", discovery=NAT, parameters=list(parameters), at=GROUP
    )
    return [[dib["type"] for dib in answer["dibs"]] for answer in answers]


def test_an_extended_search_selects_devices() -> None:
    """3/8/2, section 7.5.6"""
    device = Device()
    found = ["DEVICE_INFO", "SUPP_SVC_FAMILIES", "EXTENDED_DEVICE_INFO"]
    mac = b"\2\0\0\0\0\0"
    assert search(device) == [found]
    assert search(device, {"type": "SELECT_BY_MAC_ADDRESS", "mac": mac}) == [found]
    assert search(device, {"type": "SELECT_BY_MAC_ADDRESS", "mac": bytes(6)}) == []
    assert search(device, {"type": "SELECT_BY_PROGRAMMING_MODE"}) == []
    for family, version, expected in (
        ("TUNNELLING", 1, [found]),
        ("TUNNELLING", 2, []),
        ("ROUTING", 1, []),
    ):
        selected = {"type": "SELECT_BY_SERVICE", "family": family, "version": version}
        assert search(device, selected) == expected
    unknown = {"type": 77, "data": b""}
    assert search(device, unknown) == []
    assert search(device, {**unknown, "mandatory": False}) == [found]


def test_an_extended_search_asks_for_blocks() -> None:
    device = Device(model={"channels": 2})
    Client(device)
    dibs = ["TUNNELLING_INFO", "KNX_ADDRESSES", "MFR_DATA", 0]
    (answer,) = device.receive(
        service="SEARCH_REQUEST_EXTENDED",
        discovery=NAT,
        parameters=[{"type": "REQUEST_DIBS", "dibs": dibs}],
    )
    tunnelling, addresses = answer["dibs"][3:]
    assert [(one["individual"], one["free"]) for one in tunnelling["slots"]] == [
        ("1.1.11", False),
        ("1.1.12", True),
    ]
    assert addresses["addresses"] == ["1.1.10", "1.1.11", "1.1.12"]


@pytest.mark.parametrize(
    "discovery",
    [
        {"address": "224.0.23.12", "port": 3671},
        {"address": "255.255.255.255", "port": 3671},
        {"address": "127.0.0.1", "port": 3671},
        {"address": "10.77.1.1", "port": 3671},
        {"address": "10.77.0.9", "port": 3671, "host_protocol": "IPV4_TCP"},
    ],
)
def test_no_group_is_answered_nor_itself(discovery: dict[str, Any]) -> None:
    assert Device().receive(service="SEARCH_REQUEST", discovery=discovery) == []


def test_addresses_of_tunnels_stay_in_the_line() -> None:
    device = Device(model={"individual": "1.1.254", "channels": 3})
    assert Client(device).individual == "1.1.251"


def test_all_of_the_most_tunnels_are_told() -> None:
    device = Device(model={"channels": 60})
    parameter = {"type": "REQUEST_DIBS", "dibs": ["TUNNELLING_INFO", "KNX_ADDRESSES"]}
    assert search(device, parameter)[0][3:] == ["TUNNELLING_INFO", "KNX_ADDRESSES"]


def test_without_a_model_it_is_a_tunnel() -> None:
    device = Transcript("knxnet")
    (answer,) = device.receive(
        service="CONNECT_REQUEST",
        control=NAT,
        data_endpoint=NAT,
        cri={"connection_type": "TUNNEL_CONNECTION"},
    )
    assert answer["crd"]["individual"] == "15.15.251"


def test_fleets_have_addresses_of_their_own() -> None:
    device = Device(model={"individual": "='1.1.' + str(device.index + 77)"})
    assert Client(device).individual == "1.1.78"
    wrong = Device(model={"individual": "='here' if t >= 0 else ''"}, may_fail=True)
    wrong.receive(service="DESCRIPTION_REQUEST", control=NAT)
    assert "an individual address is like '1.1.5'" in str(wrong)


# -- connections (3/8/2, section 5) -----------------------------------------------------------------------


def test_a_client_connects_asks_for_the_state_and_disconnects() -> None:
    device = Device()
    client = Client(device)
    assert client.individual == "1.1.11"
    assert client.ask_state() == "E_NO_ERROR"
    assert client.disconnect() == "E_NO_ERROR"
    assert client.ask_state() == "E_CONNECTION_ID"
    assert client.disconnect() == "E_CONNECTION_ID"


def test_answers_go_where_the_client_says() -> None:
    """Control and data may have endpoints of their own (section 5.2)."""
    device = Device()
    control, data = ({"address": "10.77.0.1", "port": port} for port in (5001, 5002))
    cri = {"connection_type": "TUNNEL_CONNECTION"}
    (answer,) = device.receive(
        service="CONNECT_REQUEST", control=control, data_endpoint=data, cri=cri
    )
    assert answer["data_endpoint"]["address"] == "10.77.1.1"
    frame = {"code": "L_DATA_REQ", "destination": "1/2/3", "apci": "GROUP_VALUE_READ"}
    request = {"service": "TUNNELLING_REQUEST", "channel": 1, "sequence": 0, "cemi": frame}
    assert device.receive(request) == []  # not from there
    assert services(device.receive(request, peer="10.77.0.1:5002")) == [
        "TUNNELLING_ACK",
        "TUNNELLING_REQUEST",
    ]
    assert "-> 10.77.0.1:5001 CONNECT_RESPONSE" in str(device)
    assert "-> 10.77.0.1:5002 TUNNELLING_REQUEST 1 0 L_DATA_CON" in str(device)


@pytest.mark.parametrize(
    ("kind", "cri", "status"),
    [
        ("REMLOG_CONNECTION", {"data": b""}, "E_CONNECTION_TYPE"),
        (99, {"data": b"\0"}, "E_CONNECTION_TYPE"),
        ("TUNNEL_CONNECTION", {"layer": "TUNNEL_BUSMONITOR"}, "E_TUNNELLING_LAYER"),
        ("TUNNEL_CONNECTION", {"layer": "TUNNEL_RAW"}, "E_TUNNELLING_LAYER"),
        ("TUNNEL_CONNECTION", {"individual": "1.1.99"}, "E_NO_TUNNELLING_ADDRESS"),
        ("TUNNEL_CONNECTION", {"individual": "1.1.11"}, "E_CONNECTION_IN_USE"),
        ("TUNNEL_CONNECTION", {"individual": "1.1.12"}, "E_NO_ERROR"),
    ],
)
def test_what_is_wrong_with_a_connection_is_told(kind: Any, cri: Any, status: str) -> None:
    device = Device()
    Client(device)
    assert device.connect(OTHER, kind, **cri)["status"] == status


@pytest.mark.parametrize(
    ("datagram", "status"),
    [
        ("0610 0205 0018 0801 00000000 0000 0801 00000000 0000 02 04", "E_CONNECTION_OPTION"),
        ("0610 0205 001a 0802 00000000 0000 0801 00000000 0000 04 04 02 00", "E_HOST_PROTOCOL_TYPE"),
        ("0620 0205 001a 0801 00000000 0000 0801 00000000 0000 04 04 02 00", "E_VERSION_NOT_SUPPORTED"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_refused(datagram: str, status: str) -> None:
    (answer,) = Device().receive(bytes.fromhex(datagram))
    assert (answer["service"], answer["status"]) == ("CONNECT_RESPONSE", status)


def test_channels_are_bounded() -> None:
    device = Device(model={"channels": 2})
    first, _ = Client(device), Client(device, OTHER)
    assert device.connect(OTHER)["status"] == "E_NO_MORE_CONNECTIONS"
    Client(device, OTHER, "DEVICE_MGMT_CONNECTION")  # which has room of its own
    assert device.connect(OTHER, "DEVICE_MGMT_CONNECTION")["status"] == "E_NO_MORE_CONNECTIONS"
    first.disconnect()
    again = Client(device)
    assert (again.individual, again.channel) == ("1.1.11", 4)  # no number is soon used again


def test_nobody_else_ends_a_connection() -> None:
    client = Client(Device())
    assert client.disconnect(OTHER) == "E_CONNECTION_ID"
    assert client.ask_state(OTHER) == "E_CONNECTION_ID"
    assert client.ask_state() == "E_NO_ERROR"


def test_without_a_heartbeat_it_ends() -> None:
    """Section 5.4: 120 s after the last frame of the client."""
    device = Device()
    client = Client(device)
    device.wait(100)
    assert client.ask_state() == "E_NO_ERROR"
    device.wait(119.9)
    assert "DISCONNECT_REQUEST" not in services(device.sent)
    device.wait(0.2)
    assert device.sent[-1]["service"] == "DISCONNECT_REQUEST"
    assert device.sent[-1]["channel"] == client.channel
    (event,) = [one for one in device.events if isinstance(one, Sent)][-1:]
    assert event.t == pytest.approx(220)
    assert client.ask_state() == "E_CONNECTION_ID"


def test_a_reboot_forgets_its_connections() -> None:
    device = Device()
    client = Client(device)
    device.reboot()
    assert client.ask_state() == "E_CONNECTION_ID"
    assert client.say() == []
    device.wait(300)
    assert "DISCONNECT_REQUEST" not in services(device.sent)


# -- tunnelling (3/8/4, section 2.6) ----------------------------------------------------------------------


def test_a_read_is_acknowledged_confirmed_and_answered() -> None:
    device = Device(TEMPERATURE)
    Client(device).exchange()
    assert device.lines()[2:] == [
        "0.000 <- TUNNELLING_REQUEST 1 0 L_DATA_REQ [wire]",
        "0.000 -> TUNNELLING_ACK 1 0 E_NO_ERROR [wire]",
        "0.000 -> TUNNELLING_REQUEST 1 0 L_DATA_CON [wire]",
        "0.000 <- GROUP_VALUE_READ 1/2/3   [application]",
        "0.000 <- TUNNELLING_ACK 1 0 E_NO_ERROR [wire]",
        "0.000 -> TUNNELLING_REQUEST 1 1 L_DATA_IND [wire]",
        "0.000 -> GROUP_VALUE_RESPONSE 1/2/3 21.5  [application]",
        "0.000 <- TUNNELLING_ACK 1 1 E_NO_ERROR [wire]",
    ]


def test_a_confirmation_is_the_request_with_its_source() -> None:
    """3/6/3, section 4.1.5.2; additional information is not told again."""
    client = Client(Device())
    (confirmation,) = client.exchange(
        priority="URGENT", hop_count=7, additional=[{"type": 3, "data": b"\1"}], **WRITE, small=1
    )
    assert confirmation["code"] == "L_DATA_CON"
    assert confirmation["source"] == client.individual
    assert (confirmation["priority"], confirmation["hop_count"]) == ("URGENT", 7)
    assert (confirmation["additional"], confirmation["error"]) == ([], False)
    (confirmation,) = client.exchange(source="1.1.200")
    assert confirmation["source"] == "1.1.200"


def test_a_repetition_is_acknowledged_again_and_dropped() -> None:
    device = Device(TEMPERATURE)
    client = Client(device)
    client.exchange()
    assert services(client.say(sequence=0)) == ["TUNNELLING_ACK"]
    assert len(telegrams(device)) == 1


@pytest.mark.parametrize("sequence", [2, 100, 254])
def test_another_number_is_met_with_silence(sequence: int) -> None:
    client = Client(Device(TEMPERATURE))
    client.exchange()
    assert client.say(sequence=sequence) == []


def test_numbers_begin_anew_after_255() -> None:
    device = Device(TEMPERATURE)
    client = Client(device)
    for _ in range(300):
        assert len(client.exchange()) == 2
    assert len(telegrams(device)) == 300


def test_what_is_not_acknowledged_is_repeated_once_then_the_connection_ends() -> None:
    device = Device(TEMPERATURE)
    client = Client(device)
    client.say()
    device.wait(5)
    assert [line for line in device.lines() if "->" in line][1:] == [
        "0.000 -> TUNNELLING_ACK 1 0 E_NO_ERROR [wire]",
        "0.000 -> TUNNELLING_REQUEST 1 0 L_DATA_CON [wire]",
        "1.000 -> TUNNELLING_REQUEST 1 0 L_DATA_CON [wire]",
        "2.000 -> DISCONNECT_REQUEST 1   [wire]",
    ]
    assert telegrams(device, Sent) == []  # what waited behind it was never said
    assert client.ask_state() == "E_CONNECTION_ID"


@pytest.mark.parametrize(("sequence", "status"), [(1, "E_NO_ERROR"), (0, "E_SEQUENCE_NUMBER")])
def test_another_acknowledgment_is_none(sequence: int, status: str) -> None:
    device = Device(TEMPERATURE)
    client = Client(device)
    client.say()
    assert client.acknowledge(sequence, status) == []
    device.wait(1)
    assert client.acknowledge(0) != []
    device.wait(0.5)
    assert client.ask_state() == "E_NO_ERROR"


def test_a_channel_that_is_gone_leaves_its_successor_alone() -> None:
    device = Device(TEMPERATURE, model={"channels": 1})
    old = Client(device)
    old.say()
    old.disconnect()
    new = Client(device)
    device.wait(10)
    assert new.ask_state() == "E_NO_ERROR"
    assert old.acknowledge(0) == []
    assert len(new.exchange()) == 2


def test_what_waits_in_a_channel_is_bounded() -> None:
    device = Device({"1/2/3": {"dpt": "12", "value": 0}})
    Client(device)
    for _ in range(100):
        device.say(service="GROUP_VALUE_WRITE", group="1/2/3", value=7)
    assert str(device).count("channel 1 loses messages: 64 wait") == 1


def test_tunnels_hear_each_other() -> None:
    device = Device()
    one, other = Client(device), Client(device, OTHER)
    sent = one.say(**WRITE, small=1)
    heard = {message["channel"]: message["cemi"]["code"] for message in sent[1:]}
    assert heard == {one.channel: "L_DATA_CON", other.channel: "L_DATA_IND"}


def test_a_telegram_for_one_goes_to_that_one() -> None:
    device = Device()
    one, other = Client(device), Client(device, OTHER)
    single = {"address_type": "INDIVIDUAL", "tpci": 32, "apci": None}
    sent = one.say(**single, destination=other.individual)
    assert [(message["cemi"]["code"], message["cemi"]["error"]) for message in sent[1:]] == [
        ("L_DATA_IND", False),
        ("L_DATA_CON", False),
    ]
    one.acknowledge(0)
    sent = one.say(**single, destination="1.1.99")
    assert [message["cemi"]["error"] for message in sent[1:]] == [True]
    assert telegrams(device) == []


def test_what_is_no_request_of_a_client_is_acknowledged_alone() -> None:
    client = Client(Device(TEMPERATURE))
    assert services(client.say(code="L_DATA_IND")) == ["TUNNELLING_ACK"]
    (ack, _) = client.say(destination="0/0/0", apci="INDIVIDUAL_ADDRESS_READ")
    assert ack["service"] == "TUNNELLING_ACK"


def test_it_works_over_ipv6_from_behind_a_nat() -> None:
    """The endpoints of KNXnet/IP are IPv4; where none is given, it does not matter."""
    device = Device(TEMPERATURE)
    client = Client(device, "[fd77::1]:40000")
    assert [cemi["code"] for cemi in client.exchange()] == ["L_DATA_CON", "L_DATA_IND"]


SAYS = {"service": "GROUP_VALUE_WRITE", "group": "1/2/3", "value": 1}


def said(device: Device) -> list[str]:
    return [line for line in device.lines() if " -> " in line and "[application]" in line]


def test_what_a_dead_client_does_not_take_is_said_to_the_other() -> None:
    device = Device()
    dead, alive = Client(device), Client(device, OTHER)
    device.say(SAYS)
    alive.acknowledge(0)
    device.say(SAYS)
    alive.acknowledge(1)
    device.wait(5)
    assert device.sent[-1]["channel"] == dead.channel
    assert len(said(device)) == 2


def test_without_ipv4_a_device_says_what_its_tunnels_get() -> None:
    """The routing group has no address in IPv6."""
    gateway = "[fd77::1]:3671"
    device = Device(model={"routing": True}, address="fd77::1:1")
    Client(device, gateway)
    device.say(SAYS, to=gateway)
    assert len(said(device)) == 1


# -- device management (3/8/3) -------------------------------------------------------------------------------


def read(client: Client, number: int, of: int = 11, start: int = 1, count: int = 1) -> Any:
    """The value of a property, or the error."""
    (answer,) = client.exchange(
        code="M_PROP_READ_REQ", object_type=of, property=number, start=start, count=count
    )
    assert answer["code"] == "M_PROP_READ_CON"
    return answer["data"] if answer["count"] else answer["data"][0]


def test_device_management_reads_properties() -> None:
    device = Device(model={"name": "Plant", "channels": 3})
    client = Client(device, kind="DEVICE_MGMT_CONNECTION")
    assert read(client, 52) == b"\x11\x0a"
    assert read(client, 53, start=0) == b"\0\3"
    assert read(client, 53, start=2, count=2) == b"\x11\x0c\x11\x0d"
    assert read(client, 76, start=1, count=5) == b"Plant"
    assert read(client, 57) == bytes([10, 77, 1, 1])
    assert read(client, 68) == b"\0\3"
    # 3/5/1: the longest APDU, as in the extended description; the address of the line, and on it
    assert [read(client, number, of=0) for number in (56, 57, 58)] == [b"\0\xfe", b"\x11", b"\x0a"]
    assert read(client, 11, of=0) == bytes.fromhex("00fa00000000")
    assert read(client, 53, start=3, count=2) == 0x09
    assert read(client, 200) == 0x07


def test_device_management_writes_the_programming_mode() -> None:
    device = Device()
    client = Client(device, kind="DEVICE_MGMT_CONNECTION")
    write = {"code": "M_PROP_WRITE_REQ", "object_type": 0, "property": 54, "start": 1, "count": 1}
    (answer,) = client.exchange(**write, data=b"\1")
    assert (answer["count"], answer["data"]) == (1, b"")
    assert len(search(device, {"type": "SELECT_BY_PROGRAMMING_MODE"})) == 1
    (answer,) = client.exchange(**write, data=b"\2")
    assert (answer["count"], answer["data"]) == (0, b"\x08")
    (answer,) = client.exchange(**{**write, "property": 11}, data=b"\1")
    assert (answer["count"], answer["data"]) == (0, b"\x05")
    function = {"code": "M_FUNC_PROP_COMMAND_REQ", "object_type": 0, "property": 1}
    assert client.exchange(**function, data=b"\0")[0]["code"] == "M_FUNC_PROP_CON"


def test_device_management_resets_it() -> None:
    """3/6/3, section 4.1.7.5: as a reboot does."""
    device = Device({"1/2/3": {"dpt": "1", "value": False}})
    tunnel = Client(device)
    tunnel.exchange(**WRITE, small=1)
    client = Client(device, OTHER, kind="DEVICE_MGMT_CONNECTION")
    assert services(client.say(code="M_RESET_REQ")) == ["DEVICE_CONFIGURATION_ACK"]
    assert tunnel.ask_state() == "E_CONNECTION_ID"
    assert Client(device).exchange()[1]["small"] == 0


def test_device_management_is_repeated_three_times() -> None:
    """3/8/3, section 2.3: after 10 s each."""
    device = Device()
    client = Client(device, kind="DEVICE_MGMT_CONNECTION")
    client.say(code="M_PROP_READ_REQ", object_type=11, property=52, start=1, count=1)
    device.wait(39)
    assert services(device.sent).count("DEVICE_CONFIGURATION_REQUEST") == 4
    device.wait(2)
    assert device.sent[-1]["service"] == "DISCONNECT_REQUEST"


def test_requests_of_the_other_kind_are_not_taken() -> None:
    device = Device(TEMPERATURE)
    client = Client(device)
    client.service = "DEVICE_CONFIGURATION"
    assert client.say(code="M_PROP_READ_REQ", object_type=11, property=52, start=1, count=1) == []


# -- routing (3/8/5) -----------------------------------------------------------------------------------------


def test_routed_telegrams_are_heard_and_answered() -> None:
    device = Device(TEMPERATURE, model={"routing": True})
    (answer,) = device.route()
    assert answer["service"] == "ROUTING_INDICATION"
    assert answer["cemi"]["source"] == "1.1.10"
    assert answer["cemi"]["data"] == bytes.fromhex("0c33")
    assert "-> 224.0.23.12:3671 ROUTING_INDICATION" in str(device)


def test_tunnels_and_routing_are_one_bus() -> None:
    device = Device(model={"routing": True})
    client = Client(device)
    (heard,) = device.route(**WRITE, small=1)
    assert (heard["service"], heard["cemi"]["code"]) == ("TUNNELLING_REQUEST", "L_DATA_IND")
    client.acknowledge(0)
    assert services(client.say(**WRITE, small=1)) == [
        *("TUNNELLING_ACK", "ROUTING_INDICATION", "TUNNELLING_REQUEST")
    ]


def test_only_the_group_routes() -> None:
    device = Device(TEMPERATURE, model={"routing": True})
    frame = {"code": "L_DATA_IND", "destination": "1/2/3", "apci": "GROUP_VALUE_READ"}
    assert device.receive(service="ROUTING_INDICATION", cemi=frame) == []
    assert device.route(code="L_DATA_REQ") == []
    assert Device(TEMPERATURE).route() == []  # which does not route


def sent_at(device: Device) -> list[float]:
    return [event.t for event in device.events if isinstance(event, Sent) and event.layer == "wire"]


def test_at_most_fifty_telegrams_a_second_are_routed() -> None:
    """3/2/6, section 2.1"""
    device = Device(TEMPERATURE, model={"routing": True})
    for _ in range(5):
        device.route()
    device.wait(1)
    assert sent_at(device) == pytest.approx([0, 0.02, 0.04, 0.06, 0.08])
    for _ in range(100):
        device.route()
    assert str(device).count("routing loses telegrams: 64 wait") == 1


def test_it_waits_while_somebody_is_busy() -> None:
    """3/8/5, section 2.3.5: a busy one is obeyed, and those that go on make a random time longer."""
    device = Device(TEMPERATURE, model={"routing": True})
    device.receive(service="ROUTING_BUSY", wait_time=100, at=GROUP)
    device.route()
    device.wait(1)
    assert sent_at(device) == pytest.approx([0.1])
    for _ in range(4):
        device.receive(service="ROUTING_BUSY", wait_time=100, at=GROUP)
        device.wait(0.05)
    device.route()
    device.wait(2)
    assert 1.25 < sent_at(device)[-1] < 1.25 + 3 * 0.05
    device.receive(service="ROUTING_BUSY", wait_time=60000)  # not of the group
    device.route()
    device.wait(1)
    assert len(sent_at(device)) == 3


def test_lost_messages_are_noted() -> None:
    device = Device(model={"routing": True})
    device.receive(service="ROUTING_LOST_MESSAGE", lost_messages=5, at=GROUP)
    assert "10.77.0.1:40000 has lost 5 telegrams" in str(device)


# -- group objects (3/3/7, section 3.1) ----------------------------------------------------------------------


def test_values_are_written_and_read_back() -> None:
    device = Device(
        {"1/2/3": {"dpt": "5.001", "value": "=state.level"}, "1/2/4": {"dpt": "16", "value": ""}},
        state={"level": 0},
    )
    client = Client(device)
    client.exchange(**WRITE, data=b"\x80")
    assert device.device.state["level"] == pytest.approx(50.2, abs=0.01)
    client.exchange(**WRITE, destination="1/2/4", data=b"hello".ljust(14, b"\0"))
    (_, answer) = client.exchange(destination="1/2/4")
    assert answer["data"] == b"hello".ljust(14, b"\0")
    assert answer["frame_type"] == "STANDARD"
    device.reboot()
    (_, answer) = Client(device).exchange(destination="1/2/4")
    assert answer["data"] == bytes(14)


def test_a_value_of_another_size_is_not_written() -> None:
    device = Device(TEMPERATURE)
    client = Client(device)
    assert len(client.exchange(**WRITE, small=1)) == 1
    assert "1.1.11 sends to 1/2/3 is no 9.001: no bytes where it has 16 bits" in str(device)
    assert telegrams(device) == []


def test_invalid_data_is_told_and_not_written() -> None:
    device = Device(TEMPERATURE)
    client = Client(device)
    client.exchange(**WRITE, data=b"\x7f\xff")
    assert telegrams(device) == [("GROUP_VALUE_WRITE", "1/2/3", None)]
    assert client.exchange()[1]["data"] == b"\x0c\x33"


def test_flags_say_what_may_be_done() -> None:
    groups = {
        "1/0/1": {"dpt": "1", "value": True, "read": False},
        "1/0/2": {"dpt": "1", "value": True, "write": False},
    }
    client = Client(Device(groups))
    assert len(client.exchange(destination="1/0/1")) == 1
    client.exchange(**WRITE, destination="1/0/2", small=0)
    assert client.exchange(destination="1/0/2")[1]["small"] == 1


def test_a_group_of_nobody_is_not_answered() -> None:
    device = Device()
    client = Client(device)
    assert len(client.exchange()) == 1
    client.exchange(**WRITE, data=b"\1\2")
    client.exchange(**WRITE, small=5)
    assert [value for _, _, value in telegrams(device)] == [None, b"\1\2", 5]


def test_a_value_that_is_beyond_its_type_goes_out_as_the_nearest() -> None:
    device = Device({"1/2/3": {"dpt": "9.001", "value": "=state.x"}}, state={"x": -1000})
    client = Client(device)
    assert client.exchange()[1]["data"] == bytes.fromhex("a156")
    device.device.state["x"] = "cold"
    assert len(client.exchange()) == 1
    assert "1/2/3 has no value of type 9.001" in str(device)


def test_rules_answer_before_the_model() -> None:
    rule = {
        "when": {"service": "GROUP_VALUE_READ", "group": "1/2/3"},
        "reply": {"service": "GROUP_VALUE_RESPONSE", "value": "=20 + 5"},
    }
    device = Device(TEMPERATURE, rules=[rule])
    (_, answer) = Client(device).exchange()
    assert (answer["destination"], answer["data"]) == ("1/2/3", bytes.fromhex("0ce2"))


def test_a_rule_sends_to_all_that_hear() -> None:
    device = Device(TEMPERATURE, model={"routing": True})
    Client(device)
    device.say(service="GROUP_VALUE_WRITE", group="1/2/3", value=20, priority="URGENT")
    routed, tunnelled = device.sent[-2:]
    assert (routed["service"], tunnelled["service"]) == ("ROUTING_INDICATION", "TUNNELLING_REQUEST")
    assert routed["cemi"] == tunnelled["cemi"]
    assert (routed["cemi"]["priority"], routed["cemi"]["data"]) == ("URGENT", b"\x07\xd0")
    assert telegrams(device, Sent) == [("GROUP_VALUE_WRITE", "1/2/3", 20)]  # once


def test_rules_see_what_nobody_answers() -> None:
    rules = [
        {
            "after": "1s",
            "send": {"service": "GROUP_VALUE_READ", "group": "1/2/3"},
            "every": "10s",
            "times": 2,
        },
        {"when": {"unanswered": True, "group": "1/2/3"}, "set": {"missed": "=state.missed + 1"}},
    ]
    device = Device(model={"routing": True}, rules=rules, state={"missed": 0})
    device.wait(1.5)
    device.route(apci="GROUP_VALUE_RESPONSE", small=1)
    device.wait(9)
    assert device.device.state["missed"] == 0
    device.wait(6)
    assert device.device.state["missed"] == 1


def test_long_data_takes_an_extended_frame() -> None:
    device = Device(model={"routing": True})
    device.say(service="GROUP_VALUE_WRITE", group="1/2/3", value="hex:" + "78" * 20)
    assert device.sent[-1]["cemi"]["frame_type"] == "EXTENDED"
    assert device.datagrams[-1][1][8:] == bytes.fromhex("3ce0 110a 0a03 15 0080") + b"x" * 20


def test_values_are_sent_at_intervals_and_when_they_change() -> None:
    groups = {
        "1/0/1": {"dpt": "9.001", "value": "=t", "every": "10s"},
        "1/0/2": {"dpt": "1", "value": "=state.on", "watch": "5s"},
    }
    device = Device(groups, model={"routing": True}, state={"on": False})
    device.wait(30)
    assert [group for _, group, _ in telegrams(device, Sent)] == ["1/0/1"] * 3
    device.device.state["on"] = True
    device.wait(5)
    device.device.state["on"] = True
    device.wait(5)
    said = [one for one in telegrams(device, Sent) if one[1] == "1/0/2"]
    assert said == [("GROUP_VALUE_WRITE", "1/0/2", True)]


def test_a_status_is_told_at_once_after_a_write() -> None:
    groups = {
        "1/0/1": {"dpt": "1", "value": "=state.on", "watch": "1m"},
        "1/0/2": {"dpt": "1", "value": "=state.on", "watch": "1m"},
    }
    device = Device(groups, state={"on": False})
    client = Client(device)
    sent = client.exchange(**WRITE, destination="1/0/1", small=1)
    assert [(cemi["code"], cemi["destination"]) for cemi in sent] == [
        ("L_DATA_CON", "1/0/1"),
        ("L_DATA_IND", "1/0/2"),
    ]


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ({"groups": {"1/2": {"dpt": "1", "value": True}}}, "a group address is like '1/2/3'"),
        ({"groups": {"0/0/0": {"dpt": "1", "value": True}}}, "0/0/0 is no group"),
        ({"groups": {"1/2/3": {"dpt": "99", "value": True}}}, "no datapoint type 99"),
        ({"groups": {"1/2/3": {"dpt": "9.001", "value": -300}}}, "no value of type 9.001"),
        ({"groups": {"1/2/3": {"dpt": "9", "value": "=t", "write": True}}}, "can be written"),
        ({"individual": "1.16.1"}, "an individual address is like"),
        ({"serial": "12"}, "a serial number has six bytes"),
        ({"channels": 61}, "channels"),
    ],
)
def test_what_is_wrong_in_a_model_is_told(model: dict[str, Any], expected: str) -> None:
    with pytest.raises(ScenarioError, match=expected):
        Device(model=model)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"group": "1/2/3", "value": 1e6}, "no value of type 9.001: a number from"),
        ({"group": "1/2/3", "value": "warm"}, "no value of type 9.001"),
        ({"group": "5/0/0", "value": 64}, "in a group that the model does not have"),
        ({"group": "5/0/0/0", "value": 1}, "a group address is like"),
        ({"group": "5/0/0"}, "in a group that the model does not have"),
        ({"group": "5/0/0", "service": "GROUP_VALUE_READ", "value": 1}, "has no value"),
    ],
)
def test_what_a_rule_cannot_say_is_told(said: dict[str, Any], expected: str) -> None:
    rule = {"when": {}, "reply": {"service": "GROUP_VALUE_WRITE", **said}}
    with pytest.raises(ScenarioError, match=expected):
        Device(TEMPERATURE, rules=[rule])


# -- among others --------------------------------------------------------------------------------------

HOUSE = """
[scenario]
duration = "20s"

[devices.button]
address = "10.77.1.1"
count = 1
protocol = "knxnet"
behavior = "button.py:Button"
model = { individual = "1.1.1" }

[devices.lamp]
address = "10.77.2.1"
count = 2
protocol = "knxnet"
state = { on = false }

[devices.lamp.model]
individual = "='1.1.' + str(100 + device.index)"
groups."1/0/1" = { dpt = "1", value = "=state.on", read = false }
groups."1/0/2" = { dpt = "1", value = "=state.on", watch = "1s" }

[[expect]]
name = "all lamps are switched"
each = "lamp"
receives = { service = "GROUP_VALUE_WRITE", group = "1/0/1", source = "1.1.1", value = true }
within = "5s"

[[expect]]
name = "the button is told"
each = "button"
receives = { service = "GROUP_VALUE_WRITE", group = "1/0/2", source = "1.1.101" }
within = "5s"
"""
BUTTON = """
from iotsim import Device, Unanswered

class Button(Device):
    async def run(self):
        write = {"service": "GROUP_VALUE_WRITE", "group": "1/0/1", "value": 1}
        read = {"service": "GROUP_VALUE_READ", "group": "1/0/2"}
        self.log(f"before {(await self.ask(read))['value']}")
        await self.send(write, to="224.0.23.12:3671")
        await self.sleep(2)
        self.log(f"after {(await self.ask(read))['value']}")
        try:
            await self.ask({**read, "group": "7/7/7"})
        except Unanswered as error:
            self.log(f"nobody: {error.reason}")
        try:
            await self.ask(write)
        except Unanswered as error:
            self.log(error.reason)

    async def ask(self, message):
        return await self.request(message, to="224.0.23.12:3671", timeout="1s")
"""


async def test_devices_route_to_each_other(tmp_path: Path, autojump_clock: MockClock) -> None:
    """A behavior writes to all, and waits for the first response."""
    (tmp_path / "button.py").write_text(BUTTON)
    house = load_text(HOUSE, tmp_path / "house.toml", default_seed=1)
    async with simulated(house) as gateway:
        await gateway.settled()
        await trio.sleep(6)
    notes = [event.text for event in gateway.events if isinstance(event, Note)]
    assert [note.removeprefix("button[0]: ") for note in notes] == [
        "before 0",
        "after 1",
        "nobody: timeout",
        "only a GROUP_VALUE_READ is answered",
    ]
    assert gateway.run.result is not None
    assert gateway.run.result.verdict == "passed"


# -- hostile input -------------------------------------------------------------------------------------

LOADED = load_protocol("knxnet")


@pytest.mark.parametrize("seed", range(4))
def test_a_device_goes_on(seed: int) -> None:
    """Mutated messages through codec and session, from clients that are connected, and from others."""
    chance = random.Random(seed)
    groups = {
        **TEMPERATURE,
        "1/1/2": {"dpt": "1", "value": "=state.on", "watch": "1s"},
        "1/1/1": {"dpt": "10", "value": {"hour": 1, "minutes": 2, "seconds": 3}, "every": "2s"},
    }
    device = Device(groups, model={"routing": True}, state={"on": False}, seed=seed)
    peers = [parse_endpoint(f"10.77.0.{number}:4000{number}") for number in range(1, 4)]
    inputs = [vector.data for vector in LOADED.vectors]
    own, group = parse_endpoint("10.77.1.1:3671"), parse_endpoint(f"{GROUP}:3671")
    for _ in range(800):
        data = bytearray(mutated(chance.choice(inputs), chance))
        if len(data) > 8 and data[2] in (3, 4) and chance.random() < 0.8:
            data[7:9] = chance.randrange(8), chance.randrange(4)
        if len(data) > 5 and chance.random() < 0.9:
            data[4:6] = len(data).to_bytes(2, "big")
        to = group if chance.random() < 0.3 else own
        device._link.send_nowait(datagram_frame(chance.choice(peers), to, bytes(data)))
        if chance.random() < 0.2:
            connect = {"service": "CONNECT_REQUEST", "control": NAT, "data_endpoint": NAT}
            peer = f"10.77.0.{chance.randrange(1, 4)}:40001"
            device.receive(connect, cri={"connection_type": "TUNNEL_CONNECTION"}, peer=peer)
        device.wait(chance.choice((0, 0, 0.01, 1)))
    failed = [one for one in device.events if isinstance(one, DeviceFailed | SessionFailed)]
    assert not failed, failed
    device.wait(300)
    assert len(Client(device).exchange(destination="1/1/1")) >= 2
