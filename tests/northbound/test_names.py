"""The name server's answers, asked by dnspython."""

from __future__ import annotations

import dns.flags
import dns.message
import dns.rcode
import pytest

from iotsim.northbound.names import MOST_UNKNOWN, NameServer

NAMES = {"cloud.example": ("127.0.0.1", "::1"), "ntp.example": ("10.77.1.1", "10.77.1.2")}


def ask(
    name: str, kind: str, server: NameServer | None = None, **options: bool
) -> dns.message.Message:
    query = dns.message.make_query(name, kind, **options)  # type: ignore[arg-type]
    answer = (server or NameServer(NAMES)).answer(query.to_wire())
    assert answer is not None
    response = dns.message.from_wire(answer)
    assert query.is_response(response)
    return response


@pytest.mark.parametrize(
    ("name", "kind", "addresses"),
    [
        ("cloud.example", "A", ["127.0.0.1"]),
        ("cloud.example", "AAAA", ["::1"]),
        ("cLoUd.ExAmPlE.", "A", ["127.0.0.1"]),
        ("ntp.example", "A", ["10.77.1.1", "10.77.1.2"]),
        ("ntp.example", "AAAA", []),
        ("ntp.example", "MX", []),
        ("cloud.example", "ANY", ["127.0.0.1", "::1"]),
    ],
)
def test_names_that_are_known(name: str, kind: str, addresses: list[str]) -> None:
    response = ask(name, kind)
    assert response.rcode() == dns.rcode.NOERROR
    found = [str(item) for answer in response.answer for item in answer]
    assert sorted(found) == sorted(addresses)


@pytest.mark.parametrize("name", ["www.example", "example", "x.cloud.example", "."])
def test_all_other_names_do_not_exist(name: str) -> None:
    assert ask(name, "A").rcode() == dns.rcode.NXDOMAIN


def test_edns_is_answered_in_kind() -> None:
    response = ask("cloud.example", "A", use_edns=True)
    assert response.edns == 0
    assert response.flags & dns.flags.RA


def test_unknown_names_are_kept_but_not_without_end() -> None:
    server = NameServer(NAMES)
    for number in range(2 * MOST_UNKNOWN):
        ask(f"host{number}.example", "A", server)
    ask("cloud.example", "A", server)
    assert list(server.unknown) == [f"host{number}.example" for number in range(MOST_UNKNOWN)]


def test_what_is_no_query_is_not_answered() -> None:
    server = NameServer(NAMES)
    query = dns.message.make_query("cloud.example", "A").to_wire()
    for length in range(len(query)):
        server.answer(query[:length])
    response = server.answer(query)
    assert response is not None
    assert server.answer(response) is None
    assert server.answer(b"\xff" * 600) is None


def test_several_questions_or_another_operation_are_not_done() -> None:
    query = dns.message.make_query("cloud.example", "A")
    query.question += dns.message.make_query("ntp.example", "A").question
    answer = NameServer(NAMES).answer(query.to_wire())
    assert answer is not None
    assert dns.message.from_wire(answer).rcode() == dns.rcode.NOTIMP
