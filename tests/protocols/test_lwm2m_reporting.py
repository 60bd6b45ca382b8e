"""LwM2M's information reporting (TS Core 1.1.1, section 6.4), and its attributes (section 5.1.2)."""

from __future__ import annotations

from typing import Any

import pytest
from tests.protocols.lwm2m import CBOR, LINKS, Client, said

# -- observe (section 6.4), attributes (section 5.1.2) ---------------------------------------------------


def observer(*query: str, path: str = "/3303/0/5700", **table: Any) -> Client:
    """A client whose resource 5700 is the time in seconds; it is observed."""
    client = Client({"3303": {"0": {"5700": "=t", "5750": "hall"}}}, **table)
    if query:
        assert client.code("PUT", path, query=list(query)) == "CHANGED"
    assert client.ask("GET", path, observe=0)["observe"] is not None
    return client


def times(client: Client) -> list[float]:
    sent = [e for e in client.events if getattr(e, "layer", "") == "application"]
    return [round(e.t, 3) for e in sent if e.message["operation"] == "NOTIFY"]


def test_a_change_is_told() -> None:
    client = observer()
    client.wait(3.5)
    assert times(client) == [1, 2, 3]
    assert [one["value"] for one in said(client)] == [1, 2, 3]


def test_what_does_not_change_is_not_told() -> None:
    client = observer(path="/3303/0/5750")
    client.wait(4000)
    assert times(client) == []
    client.code("PUT", "/3303/0/5750", payload="cellar")
    client.wait(0)
    assert [one["value"] for one in said(client)] == ["cellar"]


def test_an_instance_is_observed() -> None:
    client = observer(path="/3303/0")
    client.wait(1)
    assert said(client)[0]["value"] == {"5700": 1.0, "5750": "hall"}


def test_pmin_is_waited_for() -> None:
    client = observer("pmin=5")
    client.wait(16)
    assert times(client) == [5, 10, 15]


def test_epmin_is_between_two_evaluations() -> None:
    """Section 5.1.2: also where a server writes meanwhile."""
    client = observer("epmin=5")
    client.wait(16)
    assert times(client) == [5, 10, 15]
    client = observer("epmin=5", path="/3303/0/5750")
    for text in ("a", "b", "hall", "c"):
        client.code("PUT", "/3303/0/5750", payload=text)
        client.wait(2)
    client.wait(10)
    assert [one["value"] for one in said(client)] == ["c"]
    assert "epmin=5" in client.get("/3303/0/5750", accept=LINKS)


def test_epmax_is_the_longest_between_two_evaluations() -> None:
    client = observer("epmax=2", model={"observe": "10s"})
    client.wait(7)
    assert times(client) == [2, 4, 6]


def test_pmax_tells_what_has_not_changed() -> None:
    client = observer("pmax=10", path="/3303/0/5750")
    client.wait(35)
    assert times(client) == [10, 20, 30]


def test_pmax_below_pmin_is_no_matter() -> None:
    client = observer("pmin=10", "pmax=5", path="/3303/0/5750")
    client.wait(100)
    assert times(client) == []


def test_a_pmax_of_0_is_none() -> None:
    client = observer("pmax=0", path="/3303/0/5750")
    client.wait(100)
    assert times(client) == []


def test_periods_have_defaults_in_the_server_object() -> None:
    client = Client({"1": {"0": {"2": 4, "3": 8}}, "3303": {"0": {"5700": "=t", "5750": "x"}}})
    client.ask("GET", "/3303/0/5700", observe=0)
    client.ask("GET", "/3303/0/5750", observe=0, token=b"u")
    client.wait(9)
    assert times(client) == [4, 8, 8]


def test_attributes_of_what_it_is_in_hold_too() -> None:
    client = Client({"3303": {"0": {"5700": "=t"}}})
    client.code("PUT", "/3303", query=["pmin=3"])
    client.code("PUT", "/3303/0/5700", query=["pmin=6"])
    client.ask("GET", "/3303/0/5700", observe=0)
    client.wait(13)
    assert times(client) == [6, 12]
    client.code("PUT", "/3303/0/5700", query=["pmin"])  # it is taken away
    client.wait(6)
    assert times(client) == [6, 12, 15, 18]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (["gt=5"], [6]),
        (["lt=5"], [5]),
        (["st=4"], [4, 8, 12]),
        (["gt=10", "lt=3"], [3, 11]),
        (["gt=2", "st=5"], [3, 8, 13]),
        (["gt=2", "pmin=5"], [5]),
    ],
)
def test_limits_and_steps(query: list[str], expected: list[int]) -> None:
    client = observer(*query)
    client.wait(13.5)
    assert times(client) == expected


@pytest.mark.parametrize(
    ("path", "query", "code"),
    [
        ("/3303/0/5750", ["gt=5"], "BAD_REQUEST"),  # a text has no limits
        ("/3303/0", ["st=5"], "BAD_REQUEST"),
        ("/3303/0/5700", ["gt=5", "lt=4", "st=1"], "BAD_REQUEST"),
        ("/3303/0/5700", ["st=-1"], "BAD_REQUEST"),
        ("/3303/0/5700", ["pmin=x"], "BAD_REQUEST"),
        ("/3303/0/5700", ["pmin=1.5"], "BAD_REQUEST"),
        ("/3303/0/5700", ["gt=nan"], "BAD_REQUEST"),
        ("/3303/0/5700", ["color=red"], "BAD_REQUEST"),
        ("/3303/0/5700", ["pmin=1_0"], "BAD_REQUEST"),
        ("/3303/5", ["pmin=1"], "NOT_FOUND"),
        ("/0", ["pmin=1"], "UNAUTHORIZED"),
        ("/3303/0/5700", ["gt=-5.5", "lt=-8"], "CHANGED"),
    ],
)
def test_attributes_that_can_be_written(path: str, query: list[str], code: str) -> None:
    assert Client().code("PUT", path, query=query) == code


def test_an_observation_is_cancelled() -> None:
    client = observer()
    client.wait(1.5)
    assert client.get("/3303/0/5700", observe=1) == "1.5"
    assert said(client, "CANCEL_OBSERVE")
    client.wait(5)
    assert len(times(client)) == 1


def test_a_reset_ends_it_too() -> None:
    client = observer()
    client.wait(1)
    number = client.sent[-1]["message_id"]
    client.receive(type="RST", code="EMPTY", message_id=number)
    client.wait(5)
    assert len(times(client)) == 1


def test_what_is_deleted_ends_it() -> None:
    client = Client()
    client.ask("GET", "/3311/1/5850", observe=0)
    assert client.code("DELETE", "/3311/1") == "DELETED"
    client.wait(1)
    assert said(client)[-1]["code"] == "NOT_FOUND"


def test_a_rule_notifies() -> None:
    send = {"operation": "NOTIFY", "path": "/3303/0/5750", "value": "=str(int(t))"}
    rule = {"after": "500ms", "send": send}
    client = observer(path="/3303/0/5750", rules=[rule])
    client.wait(0.5)
    assert said(client)[0]["value"] == "0"


# -- send (section 6.4.6) ------------------------------------------------------------------------------


def test_send() -> None:
    rules = [
        {"after": "1s", "send": {"operation": "SEND", "path": "/3303/0"}},
        {"when": {"operation": "RESPONSE", "code": "CHANGED"}, "set": {"on": False}},
    ]
    client = Client(rules=rules)
    client.wait(1)
    request = client.requests[-1]
    assert (request["path"], request["content_format"]) == ("/dp", CBOR)
    assert said(client, "SEND")[-1]["value"]["/3303/0"]["5701"] == "Cel"
    client.answer("CHANGED")
    assert client.device.state["on"] is False


def test_a_server_mutes_it() -> None:
    client = Client()
    assert client.code("PUT", "/1/0/23", payload="1") == "CHANGED"
    client.say(operation="SEND", path="/3303/0")
    assert said(client, "SEND") == []
    assert "SEND is not sent" in client.lines()[-1]


def test_what_a_server_has_deleted_is_not_sent() -> None:
    client = Client()
    assert client.code("DELETE", "/3311/1") == "DELETED"
    client.answer("CHANGED")
    client.say(operation="SEND", path="/3311/1")
    assert said(client, "SEND") == []
    assert client.lines()[-1].endswith("SEND is not sent: /3311/1 cannot be read: NOT_FOUND")


def test_it_is_sent_to_the_server() -> None:
    client = Client(model={"server": "10.77.0.9:5690", "nstart": 2})
    client.say(operation="SEND", path="/3303/0/5701")
    assert [line for line in client.lines() if "10.77.0.9:5690 SEND" in line]
