"""LwM2M's registration interface (TS Core 1.1.1, section 6.2), and queue mode (section 6.5)."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from tests.protocols.lwm2m import OBJECTS, Client

from iotsim.errors import ScenarioError
from iotsim.events import DeviceFailed, Note, SessionFailed
from iotsim.protocols.coap.options import segments

LINKS = '</>;rt="oma.lwm2m";ct="110 112 11542",</1/0>,</3/0>,</3303/0>,</3311/0>,</3311/1>'


def asked(client: Client) -> list[tuple[str, str]]:
    return [(one["code"], one["path"]) for one in client.requests]


def test_it_registers_when_it_boots() -> None:
    client = Client(model={"endpoint": "ep", "lifetime": "300s"}, registers=False)
    (request,) = client.requests
    assert request["type"] == "CON"
    assert (request["code"], request["path"]) == ("POST", "/rd")
    assert request["query"] == ["ep=ep", "lwm2m=1.1", "lt=300", "b=U"]
    assert request["content_format"] == "application/link-format"
    assert request["payload"] == LINKS
    assert client.lines()[-1].startswith("0.000 -> REGISTER")


def test_objects_without_instances_are_told_too() -> None:
    client = Client({"3303": {}, "5": {"0": {}}}, registers=False)
    assert client.requests[0]["payload"].endswith(",</1/0>,</3/0>,</5/0>,</3303>")


def test_version_1_0_has_the_queue_in_its_binding() -> None:
    model = {"version": "1.0", "binding": "UQ", "endpoint": "=device.name"}
    client = Client(model=model, registers=False)
    assert client.requests[0]["query"] == ["ep=device[0]", "lwm2m=1.0", "lt=86400", "b=UQ"]


def test_version_1_1_has_a_parameter_for_the_queue() -> None:
    client = Client(model={"binding": "UQ"}, registers=False)
    assert client.requests[0]["query"][-2:] == ["b=U", "Q"]


def test_it_updates_before_the_lifetime_ends() -> None:
    """Shortly: half of the lifetime, or what repetitions may take, is left."""
    client = Client(model={"lifetime": "300s"})
    assert client.after(206.9) == []
    (update,) = client.after(0.2)
    assert (update["code"], update["path"]) == ("POST", "/rd/1")
    assert "query" not in update
    assert update["payload"] == ""
    client.answer("CHANGED")
    client.wait(207)
    assert asked(client)[-1] == ("POST", "/rd/1")
    client = Client(model={"lifetime": "20s"})
    assert [client.after(9.9), len(client.after(0.2))] == [[], 1]


def test_it_updates_more_often_if_the_model_says_so() -> None:
    client = Client(model={"lifetime": "300s", "update": "5s"})
    for _ in range(3):
        (update,) = client.after(5)
        assert update["path"] == "/rd/1"
        client.answer("CHANGED")


def test_a_lifetime_of_0_has_no_end() -> None:
    client = Client(model={"lifetime": "0s"})
    assert client.after(1e6) == []


def test_a_lifetime_has_whole_seconds() -> None:
    """Half of one would be 0, which has no end."""
    with pytest.raises(ScenarioError, match="a lifetime has whole seconds"):
        Client(model={"lifetime": "500ms"})


def test_a_lifetime_that_is_computed_is_what_is_read() -> None:
    client = Client({"1": {"0": {"1": "=state.life"}}}, state={"life": 59.6})
    assert client.requests[0]["query"][2] == "lt=60"
    assert client.get("/1/0/1") == "60"
    table: dict[str, Any] = {"state": {"life": "x"}, "may_fail": True}
    with pytest.raises(ScenarioError, match="/1/0/1: 'x' is no integer"):
        Client({"1": {"0": {"1": "=state.life"}}}, registers=False, **table)
    table["rules"] = [{"after": "1h", "set": {"life": 60}}]  # so that it is known in a run alone
    client = Client({"1": {"0": {"1": "=state.life"}}}, registers=False, **table)
    assert client.lines()[-1].endswith("failed: 'x' is no integer, in '=state.life'")


def test_the_server_may_be_another_than_the_gateway() -> None:
    client = Client(model={"server": "[fd77::1]:5685"}, registers=False)
    assert "[fd77::1]:5685 " in client.lines()[0]
    with pytest.raises(ScenarioError, match="an address with a port"):
        Client(model={"server": "example.org:5683"})


def test_it_tries_again_and_backs_off() -> None:
    """Section 6.2.1.2."""
    client = Client(model={"retry": "10s", "max_retransmit": 0}, registers=False)
    client.wait(2000)
    ids = [one["message_id"] for one in client.requests]
    assert len(set(ids)) == len(ids)
    times = [e.t for e in client.events if getattr(e, "layer", "") == "application"]
    waits = [after - before for before, after in pairwise(times)]
    for wait, least in zip(waits[:7], (10, 20, 40, 80, 160, 160, 160), strict=True):
        assert least + 2 <= wait <= 1.25 * least + 3
    notes = [event.text for event in client.events if isinstance(event, Note)]
    assert notes[0] == "device[0]: REGISTER is not answered: timeout"


def test_a_refusal_is_tried_again_too() -> None:
    client = Client(model={"retry": "10s"}, registers=False)
    client.answer("FORBIDDEN")
    assert client.after(9.9) == []
    (again,) = client.after(3)
    assert again["path"] == "/rd"
    client.answer("CREATED", location_path=["rd", "7"])
    client.say(operation="UPDATE")
    assert client.requests[-1]["path"] == "/rd/7"


@pytest.mark.parametrize(
    ("code", "note"),
    [
        ("CHANGED", "REGISTER is refused: CHANGED"),
        ("CREATED", "REGISTER is answered without a location"),
    ],
)
def test_what_is_no_registration_is_tried_again(code: str, note: str) -> None:
    """It is answered with 2.01 and a location (TS Transport, section 6.4.3)."""
    client = Client(model={"retry": "10s"}, registers=False)
    client.answer(code)
    assert client.lines()[-1].endswith(note)
    client.wait(13)
    assert asked(client) == [("POST", "/rd")] * 2


@pytest.mark.parametrize("location", [["rd", "a/b"], ["50%25", "%2F"], ["rd", "é?&="]])
def test_it_updates_wherever_the_server_has_put_it(location: list[str]) -> None:
    client = Client(registers=False)
    client.answer("CREATED", location_path=location)
    client.say(operation="UPDATE")
    assert segments(client.requests[-1]["path"]) == location


def test_it_serves_nobody_before_it_is_registered() -> None:
    """Sections 6.3 and 6.4. What is asked again later is answered; CoAP's own resources are all the time."""
    client = Client(model={"resources": {"/temp": {"value": 20}}}, registers=False)
    requests: list[dict[str, Any]] = [
        {"code": "GET", "path": "/3/0/0"},
        {"code": "PUT", "path": "/3303/0/5750", "payload": "cellar"},
        {"code": "FETCH", "path": "/", "payload": "[]", "content_format": 110},
    ]
    for request in requests:
        assert client.send(**request) == []
    (note,) = (event.text for event in client.events if isinstance(event, Note))
    assert note.startswith("device[0]: GET /3/0/0 is ignored")
    assert client.get("/temp") == "20"
    client.answer("CREATED", location_path=["rd", "1"])
    client.last_id -= 2  # that of the last
    assert client.get("/3303/0/5750") == "hall"
    client.say(operation="DEREGISTER")
    client.answer("DELETED")
    assert client.send("GET", "/3/0/0") == []


def test_an_update_without_a_registration_is_one_attempt_to_register() -> None:
    client = Client(model={"retry": "100s"}, registers=False)
    client.answer("FORBIDDEN")
    client.say(operation="UPDATE")
    client.answer("FORBIDDEN")
    assert asked(client) == [("POST", "/rd")] * 2
    assert client.after(99) == []


def test_who_registers_anew_tells_nobody_unasked() -> None:
    """Section 6.4.1: the server begins observations again."""
    resources = {"/temp": {"value": "=t", "observe": "1s"}}
    client = Client({"3303": {"0": {"5700": "=t"}}}, {"lifetime": "20s", "resources": resources})
    client.get("/3303/0/5700", observe=0)
    client.get("/temp", observe=0, token=b"coap")
    client.wait(10)
    assert {one["token"] for one in client.sent[-4:] if "observe" in one} == {b"t", b"coap"}
    client.answer("NOT_FOUND")
    client.answer("CREATED", location_path=["rd", "2"])
    assert {one["token"] for one in client.after(5)} == {b"coap"}
    client.get("/3303/0/5700", observe=0)
    client.say(operation="UPDATE")
    client.answer("CHANGED")
    assert {one["token"] for one in client.after(2)} == {b"t", b"coap"}
    client.say(operation="DEREGISTER")
    client.answer("DELETED")
    assert {one["token"] for one in client.after(2)} == {b"coap"}


@pytest.mark.parametrize("code", ["NOT_FOUND", "BAD_REQUEST", "INTERNAL_SERVER_ERROR"])
def test_it_registers_anew_when_the_server_has_forgotten_it(code: str) -> None:
    client = Client(model={"lifetime": "20s"})
    client.wait(10)
    client.answer(code)
    request = client.requests[-1]
    assert request["path"] == "/rd"
    assert request["payload"] == LINKS
    client.answer("CREATED", location_path=["rd", "2"])
    client.wait(10)
    assert asked(client)[-1] == ("POST", "/rd/2")


def test_it_registers_anew_when_an_update_is_not_answered() -> None:
    client = Client(model={"lifetime": "20s", "max_retransmit": 1, "retry": "5s"})
    client.wait(10)
    client.wait(30)
    assert ("POST", "/rd") in asked(client)[2:]


def test_a_reboot_registers_anew_and_forgets() -> None:
    client = Client()
    assert client.code("PUT", "/3303/0/5750", payload="cellar") == "CHANGED"
    client.reboot()
    assert asked(client)[-1] == ("POST", "/rd")
    client.answer("CREATED", location_path=["rd", "2"])
    assert client.get("/3303/0/5750") == "hall"


def test_the_device_says_when_it_updates_and_leaves() -> None:
    rules = [
        {"after": "1s", "send": {"operation": "UPDATE"}},
        {"after": "2s", "send": {"operation": "DEREGISTER"}},
        {"after": "30s", "send": {"operation": "REGISTER"}},
    ]
    client = Client(rules=rules)
    for seconds, code in ((1, "CHANGED"), (1, "DELETED"), (28, "CREATED")):
        client.wait(seconds)
        client.answer(code, **({"location_path": ["rd", "2"]} if code == "CREATED" else {}))
    client.wait(20)
    expected = [("POST", "/rd"), ("POST", "/rd/1"), ("DELETE", "/rd/1"), ("POST", "/rd")]
    assert asked(client) == expected
    said = [line for line in client.lines() if "[application]" in line]
    assert [line.split()[2] for line in said if "->" in line] == [
        "REGISTER",
        "UPDATE",
        "DEREGISTER",
        "REGISTER",
    ]


def test_what_cannot_be_said_is_told() -> None:
    for send in ({"operation": "READ"}, {"operation": "SEND", "path": "/temp"}):
        with pytest.raises(ScenarioError, match="cannot be encoded"):
            Client(rules=[{"after": "1s", "send": send}])


def test_an_update_on_the_server_s_demand() -> None:
    """The resource Registration Update Trigger."""
    client = Client()
    assert client.code("POST", "/1/0/8") == "CHANGED"
    assert asked(client)[-1] == ("POST", "/rd/1")


def test_a_new_lifetime_is_told_at_once() -> None:
    """Section 6.2.2."""
    client = Client(model={"lifetime": "300s"})
    assert client.get("/1/0/1") == "300"
    assert client.code("PUT", "/1/0/1", payload="60") == "CHANGED"
    assert client.requests[-1]["query"] == ["lt=60"]
    client.answer("CHANGED")
    assert [client.after(29.9), len(client.after(0.2))] == [[], 1]


def test_a_new_instance_is_told_at_once() -> None:
    client = Client()
    body = '[{"bn":"/3311/5/","n":"5850","vb":true}]'
    created = client.ask("POST", "/3311", content_format="application/senml+json", payload=body)
    assert created["code"] == "CREATED"
    assert created["location_path"] == ["3311", "5"]
    assert client.requests[-1]["payload"] == f"{LINKS},</3311/5>"


def test_a_server_sends_a_device_away_for_a_while() -> None:
    """The resources Disable and Disable Timeout."""
    client = Client()
    assert client.code("PUT", "/1/0/5", payload="30") == "CHANGED"
    assert client.code("POST", "/1/0/4") == "CHANGED"
    assert asked(client)[-1] == ("DELETE", "/rd/1")
    client.answer("DELETED")
    assert client.after(29.9) == []
    client.wait(0.2)
    assert asked(client)[-1] == ("POST", "/rd")


def test_a_server_that_does_not_say_how_long() -> None:
    """A day, as the object has it (appendix E.2)."""
    client = Client()
    body = '[{"n":"/1/0/2","v":0}]'
    json = "application/senml+json"
    assert client.code("PUT", "/1/0", payload=body, content_format=json) == "CHANGED"
    client.answer("CHANGED")
    assert client.code("GET", "/1/0/5") == "NOT_FOUND"
    client.code("POST", "/1/0/4")
    client.answer("DELETED")
    assert client.after(86399) == []
    assert len(client.after(2)) == 1


def test_a_device_with_a_queue_hears_nothing_when_it_sleeps() -> None:
    """Section 6.5."""
    client = Client(model={"binding": "UQ", "awake": "10s", "lifetime": "100s"})
    assert client.get("/3/0/16") == "UQ"
    client.wait(9)
    assert client.get("/3303/0/5701") == "Cel"  # and is awake for ten seconds more
    client.wait(9)
    assert client.get("/3303/0/5701") == "Cel"
    client.wait(10)
    assert client.send("GET", "/3303/0/5701") == []
    (update,) = client.after(22.5)
    assert update["path"] == "/rd/1"
    client.answer("CHANGED")
    assert client.get("/3303/0/5701") == "Cel"


def test_a_device_with_a_queue_hears_what_it_waits_for() -> None:
    """Repetitions may be further apart than it stays awake."""
    client = Client(model={"binding": "UQ", "awake": "3s", "lifetime": "100s"})
    client.wait(50 + 2 + 4 + 8 + 16 + 3)
    client.answer("CHANGED")
    assert asked(client)[-1] == ("POST", "/rd/1")
    client.wait(70)
    assert asked(client).count(("POST", "/rd")) == 1


def test_a_notification_wakes_it() -> None:
    client = Client(model={"binding": "UQ", "awake": "10s", "observe": "20s"})
    client.get("/3303/0/5700", observe=0)
    client.wait(19)
    assert client.send("GET", "/3303/0/5701") == []
    client.wait(1)
    assert client.get("/3303/0/5701") == "Cel"


def test_a_device_without_a_server_waits_for_one() -> None:
    client = Client(model={"server": "gateway"}, registers=False)
    assert client.requests
    assert not [e for e in client.events if isinstance(e, DeviceFailed | SessionFailed)]


@pytest.mark.parametrize(
    ("objects", "reason"),
    [
        ({"x": {}}, "an id is a number from 0 to 65534"),
        ({"3": {"65535": {}}}, "an id is a number"),
        ({"3303": {"0": {"05": 1}}}, "an id is a number"),
        ({"3303": {"0": {"5700": "=nothing"}}}, "unknown name"),
        ({"3303": {"0": {"5700": "hot"}}}, "'hot' is no float"),
        ({"1": {"0": {"1": {"0": 5}}}}, "/1/0/1: it has one value, and no instances"),
        ({"3": {"0": {"9": {"0": 5}}}}, "/3/0/9: it has one value, and no instances"),
        ({"3": {"0": {"11": 4}}}, "/3/0/11: it has instances: a table of values"),
        ({"3": {"0": {"11": "=1 + 1"}}}, "/3/0/11: it has instances: a table of values"),
        ({"4": {"0": {"4": "10.77.1.1"}}}, "/4/0/4: it has instances"),
        ({"3": {"0": {}, "1": {"0": "second"}}}, "/3/1: the object has instance 0 alone"),
        ({"6": {"2": {}}}, "/6/2: the object has instance 0 alone"),
        ({"3": {"0": {"16": "XYZ"}}}, "/3/0/16: 'XYZ' are no binding modes"),
        ({"3": {"0": {"16": "UU"}}}, "/3/0/16: 'UU' are no binding modes"),
        ({"3": {"0": {"16": "Q"}}}, "/3/0/16: 'Q' are no binding modes"),
        ({"3": {"0": {"16": ""}}}, "/3/0/16: '' are no binding modes"),
        ({"1": {"0": {"7": "T"}}}, "/1/0/7: 'T' cannot be: .* UDP is all"),
        ({"1": {"0": {"2": -1}}}, "/1/0/2: -1 cannot be: no time is negative"),
        ({"1": {}}, "/1: the device registers with an instance of this object"),
    ],
)
def test_models_that_cannot_be(objects: Any, reason: str) -> None:
    with pytest.raises(ScenarioError, match=reason):
        Client({**OBJECTS, **objects})


@pytest.mark.parametrize("binding", ["U", "UQ", "UTSN", "HMQ"])
def test_binding_modes_that_a_device_can_support(binding: str) -> None:
    """Section 6.2.1.2."""
    client = Client({"3": {"0": {"16": binding, "11": {"0": 4, "1": 6}}}})
    assert client.get("/3/0/16") == binding
    assert client.get("/3/0/11/1") == "6"
