"""An HTTP service over real sockets: good clients, bad ones, and many of them."""

from __future__ import annotations

import socket
import ssl
import struct
from contextlib import suppress
from itertools import count
from typing import Any

import pytest
import trio
import trustme

from iotsim.errors import IotsimError
from iotsim.match import Names, compile_expression
from iotsim.northbound.fields import SCHEMAS
from iotsim.northbound.spec import AnswerRule, ReplySpec
from iotsim.run.northbound import http
from iotsim.units import DurationRange

GET = b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n"


def post(body: bytes) -> bytes:
    return b"POST /r HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body


async def read_answer(stream: Any) -> bytes:
    """One answer, which has a content-length."""
    data = b""
    with trio.fail_after(20):
        while b"\r\n\r\n" not in data:
            more = await stream.receive_some(65536)
            if not more:
                return data
            data += more
        head, _, body = data.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        while len(body) < length:
            more = await stream.receive_some(65536)
            assert more
            body += more
    return head + b"\r\n\r\n" + body


async def read_to_the_end(stream: Any) -> bytes:
    data = b""
    with trio.fail_after(20):
        while more := await stream.receive_some(65536):
            data += more
    return data


async def test_a_request_is_reported_with_the_status_of_its_answer(serving: Any) -> None:
    async with serving(kind="http") as bench, await bench.connect() as client:
        for number in range(3):
            await client.send_all(post(b'{"n": %d}' % number))
            assert (await read_answer(client)).startswith(b"HTTP/1.1 200 OK\r\n")
        seen = await bench.wait_for(3)
    assert [(one["json"]["n"], one["status"]) for one in seen] == [(0, 200), (1, 200), (2, 200)]
    assert len({one["peer"] for one in seen}) == 1
    assert bench.counters["northbound.cloud.connections"] == 1
    assert bench.counters["northbound.cloud.requests"] == 3


async def test_who_has_left_before_the_answer_has_got_none(serving: Any) -> None:
    rule = AnswerRule(delay=DurationRange(0.2, 0.2))
    async with serving(kind="http", rules=(rule,)) as bench:
        async with await bench.connect() as client:
            await client.send_all(GET)
        (fields,) = await bench.wait_for(1)
    assert fields["path"] == "/a"
    assert fields["status"] == 0


async def test_what_waits_for_its_answer_is_reported_once_when_all_is_to_be_known(
    serving: Any,
) -> None:
    """As one without an answer: and it gets none afterwards."""
    rule = AnswerRule(delay=DurationRange(0.5, 0.5))
    async with serving(kind="http", rules=(rule,)) as bench, await bench.connect() as client:
        await client.send_all(GET)
        await bench.wait_for_count("northbound.cloud.requests", 1)
        await bench.northbound.drain()
        (fields,) = bench.seen
        assert (fields["path"], fields["status"]) == ("/a", 0)
        with pytest.raises(trio.BrokenResourceError):
            await read_answer(client)
        assert len(bench.seen) == 1


async def test_who_has_only_ended_its_own_side_is_answered(serving: Any) -> None:
    async with serving(kind="http") as bench, await bench.connect() as client:
        await client.send_all(GET)
        await client.send_eof()
        assert (await read_to_the_end(client)).startswith(b"HTTP/1.1 200 OK\r\n")
        (fields,) = await bench.wait_for(1)
    assert fields["status"] == 200


async def test_an_answer_waits_for_its_delay(serving: Any) -> None:
    rule = AnswerRule(delay=DurationRange(0.3, 0.3))
    async with serving(kind="http", rules=(rule,)) as bench, await bench.connect() as client:
        begin = trio.current_time()
        await client.send_all(GET)
        await read_answer(client)
        assert trio.current_time() - begin >= 0.3


async def test_an_answer_takes_the_time_of_its_rate(serving: Any) -> None:
    reply = ReplySpec(content="x" * 1000, byte_s=1 / 4000)
    async with (
        serving(kind="http", rules=(AnswerRule(reply=reply),)) as bench,
        await bench.connect() as client,
    ):
        begin = trio.current_time()
        await client.send_all(GET)
        answer = await read_answer(client)
        took = trio.current_time() - begin
    assert took >= len(answer) / 4000 * 0.99


@pytest.mark.parametrize("cut", [0, 5, 40])
async def test_an_answer_is_cut_where_the_rule_says(serving: Any, cut: int) -> None:
    rule = AnswerRule(reply=ReplySpec(content="hello", cut=cut))
    async with serving(kind="http", rules=(rule,)) as bench, await bench.connect() as client:
        await client.send_all(GET)
        got = b""
        if cut:
            got = await read_to_the_end(client)
        else:
            with pytest.raises(trio.BrokenResourceError):
                await read_to_the_end(client)
        (fields,) = await bench.wait_for(1)
    assert got == b"HTTP/1.1 200 OK\r\ncontent-type: text/plain"[:cut]
    assert fields["status"] == 0
    assert bench.counters["northbound.cloud.cut"] == 1


async def test_what_is_dropped_leaves_the_connection_open(serving: Any) -> None:
    rule = AnswerRule(drop=True)
    async with serving(kind="http", rules=(rule,)) as bench, await bench.connect() as client:
        await client.send_all(GET)
        (fields,) = await bench.wait_for(1)
        assert fields["status"] == 0
        with trio.move_on_after(0.2) as patience:
            await client.receive_some()
        assert patience.cancelled_caught


async def test_stop_refuses_and_cuts_and_start_goes_on_counting(serving: Any) -> None:
    rule = AnswerRule(reply=ReplySpec(503), first=2)
    async with serving(kind="http", rules=(rule,)) as bench:
        client = await bench.connect()
        await client.send_all(GET)
        assert (await read_answer(client)).startswith(b"HTTP/1.1 503 ")
        await bench.northbound.do("cloud", "stop")
        with pytest.raises(trio.BrokenResourceError):
            await read_to_the_end(client)
        with pytest.raises(OSError, match="all attempts to connect"):
            await bench.connect()
        await bench.northbound.do("cloud", "stop")
        await bench.northbound.do("cloud", "start")
        await bench.northbound.do("cloud", "start")
        async with await bench.connect() as again:
            for status in (b"503", b"200"):
                await again.send_all(GET)
                assert (await read_answer(again)).startswith(b"HTTP/1.1 " + status)
        await client.aclose()


async def test_a_stop_in_the_midst_of_requests_reports_each_as_its_client_has_seen_it(
    serving: Any,
) -> None:
    """What a client has got an answer to was answered, however near to the answer the stop came."""
    answered: list[int] = []

    async def ask(bench: Any, client: int) -> None:
        with suppress(OSError, trio.BrokenResourceError):
            async with await bench.connect() as stream:
                for number in count(client, 1000):
                    await stream.send_all(GET.replace(b"/a", b"/%d" % number, 1))
                    if not (await read_answer(stream)).startswith(b"HTTP/1.1 200 "):
                        return
                    answered.append(number)

    async with serving(kind="http") as bench:
        for client in range(200):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(ask, bench, client)
                await trio.sleep(0.001 * (client % 7))
                await bench.northbound.do("cloud", "stop")
            await bench.northbound.do("cloud", "start")
    told = {int(one["path"][1:]) for one in bench.seen if one["status"] == 200}
    assert len(answered) > 100
    assert [number for number in answered if number not in told] == []


async def test_a_request_that_waits_is_cut_by_a_stop_and_reported(serving: Any) -> None:
    rule = AnswerRule(delay=DurationRange(600, 600))
    async with serving(kind="http", rules=(rule,)) as bench, await bench.connect() as client:
        await client.send_all(GET)
        await bench.wait_for_count("northbound.cloud.requests", 1)
        await bench.northbound.do("cloud", "stop")
        (fields,) = bench.seen
        assert fields["status"] == 0


async def test_only_what_there_is_can_be_told_what_there_is(serving: Any) -> None:
    async with serving(kind="http") as bench:
        with pytest.raises(IotsimError, match="no northbound service 'cluod'"):
            await bench.northbound.do("cluod", "stop")
        with pytest.raises(IotsimError, match="'pause' is not what a northbound service can do"):
            await bench.northbound.do("cloud", "pause")


async def test_a_failing_expression_is_a_failure_of_the_scenario(serving: Any) -> None:
    formula = compile_expression("msg.json.n", Names(), schema=SCHEMAS["http"])
    rule = AnswerRule(reply=ReplySpec(content=formula))
    async with serving(kind="http", rules=(rule,)) as bench, await bench.connect() as client:
        await client.send_all(GET)
        assert (await read_answer(client)).startswith(b"HTTP/1.1 500 ")
    (failure,) = bench.failures
    assert failure.startswith("northbound.cloud: rule 0: the message has no field")


# --- bad clients -------------------------------------------------------------------------------


async def test_garbage_is_refused_named_and_the_next_client_served(serving: Any) -> None:
    async with serving(kind="http") as bench:
        async with await bench.connect() as client:
            await client.send_all(b"\x16\x03\x01\x00garbage\r\n\r\n")
            assert (await read_to_the_end(client)).startswith(b"HTTP/1.1 400 Bad Request\r\n")
        async with await bench.connect() as client:
            await client.send_all(GET)
            await read_answer(client)
        refused, served = await bench.wait_for(2)
    assert refused["error"].startswith("illegal request line")
    assert refused["status"] == 400
    assert served["path"] == "/a"
    assert bench.counters["northbound.cloud.requests_refused"] == 1


async def test_a_client_that_sends_too_much_reads_why(serving: Any) -> None:
    async with serving(kind="http", largest=1000) as bench, await bench.connect() as client:
        await client.send_all(post(b"x" * 3_000_000))
        answer = await read_to_the_end(client)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert answer.endswith(b"a body of more than 1000 bytes\n")
    (fields,) = bench.seen
    assert (fields["path"], fields["status"]) == ("/r", 413)


async def test_unfinished_requests_hold_a_bounded_memory(
    serving: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "MOST_HELD", 100_000)
    head = b"POST /r HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n"
    async with serving(kind="http") as bench:
        clients = [await bench.connect() for _ in range(3)]
        for client in clients[:1]:
            await client.send_all(head + b"x" * 59_999)
        await clients[1].send_all(head + b"x" * 59_999)
        (fields,) = await bench.wait_for(1)
        assert "unfinished" in fields["error"]
        await clients[0].send_all(b"x")
        _, second = await bench.wait_for(2)
        assert second["status"] == 200
        for client in clients:
            await client.aclose()


async def test_connections_without_end_are_refused_and_counted(
    serving: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "MOST_CONNECTIONS", 20)
    async with serving(kind="http") as bench:
        clients = [await bench.connect() for _ in range(200)]
        refused = 0
        for client in clients[20:]:
            with trio.fail_after(20):
                try:
                    refused += await client.receive_some(1) == b""
                except trio.BrokenResourceError:
                    refused += 1
        assert refused == 180
        await clients[0].send_all(GET)
        assert (await read_answer(clients[0])).startswith(b"HTTP/1.1 200")
        for client in clients:
            await client.aclose()
    assert bench.counters["northbound.cloud.connections_refused"] == 180
    assert bench.northbound.notes() == [
        "northbound.cloud: connections closed at once, beyond the most that it holds: 180."
    ]


async def test_slow_senders_hold_nobody_up(serving: Any) -> None:
    data = post(b"[1]")
    async with serving(kind="http") as bench, trio.open_nursery() as nursery:

        async def dribble() -> None:
            async with await bench.connect() as client:
                for place in range(len(data)):
                    await client.send_all(data[place : place + 1])
                    await trio.sleep(0.002)
                assert (await read_answer(client)).startswith(b"HTTP/1.1 200")

        for _ in range(50):
            nursery.start_soon(dribble)
        async with await bench.connect() as client:
            for _ in range(20):
                await client.send_all(GET)
                await read_answer(client)
    assert sum(one["path"] == "/r" for one in bench.seen) == 50
    assert sum(one["path"] == "/a" for one in bench.seen) == 20


async def test_a_reset_in_the_middle_hurts_nobody(serving: Any) -> None:
    async with serving(kind="http") as bench:
        for _ in range(10):
            client = await bench.connect()
            await client.send_all(post(b"x" * 100)[:-50])
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.socket.close()
        async with await bench.connect() as client:
            await client.send_all(GET)
            await read_answer(client)
    assert bench.seen[-1]["status"] == 200
    assert not bench.failures


# --- TLS ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def server_context(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


async def test_tls_clients_that_trust_the_authority(serving: Any, authority: trustme.CA) -> None:
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    async with serving(server_context(authority), kind="http", tls=True) as bench:
        stream = trio.SSLStream(
            await bench.connect(), trusting, server_hostname="127.0.0.1", https_compatible=True
        )
        for _ in range(2):
            await stream.send_all(GET)
            assert (await read_answer(stream)).startswith(b"HTTP/1.1 200")
        await stream.aclose()
        assert [one["status"] for one in await bench.wait_for(2)] == [200, 200]


async def test_tls_clients_that_do_not(serving: Any, authority: trustme.CA) -> None:
    async with serving(server_context(authority), kind="http", tls=True) as bench:
        stream = trio.SSLStream(
            await bench.connect(), ssl.create_default_context(), server_hostname="127.0.0.1"
        )
        with pytest.raises(trio.BrokenResourceError):
            await stream.do_handshake()
        await trio.aclose_forcefully(stream)
        await bench.wait_for(1)
        async with await bench.connect() as plain:
            await plain.send_all(GET)
            await bench.wait_for(2)
    untrusting, speaks_plain = (one["error"] for one in bench.seen)
    assert untrusting.startswith("the TLS handshake failed: ")
    assert speaks_plain == "the TLS handshake failed: HTTP_REQUEST"
    assert bench.counters["northbound.cloud.handshakes_failed"] == 2
