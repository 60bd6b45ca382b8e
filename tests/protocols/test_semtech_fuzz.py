"""Mutated datagrams and radio frames through codec, session and nodes: whatever comes, all go on."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from tests.protocols.semtech import KEYS, Concentrator, join_accept
from tests.protocols.test_coap_fuzz import mutated

from iotsim.events import DeviceFailed, SessionFailed
from iotsim.protocol.registry import load_protocol
from iotsim.protocols.semtech.commands import KINDS
from iotsim.protocols.semtech.crypto import DOWN, UP, cipher_payload, data_mic
from iotsim.protocols.semtech.frame import read_frame
from iotsim.testing.frames import datagram_frame
from iotsim.units import parse_endpoint

LOADED = load_protocol("semtech")
OWN = parse_endpoint("10.77.1.1:1700")
SERVER = parse_endpoint("10.77.0.1:40000")


def pull_resp(txpk: dict[str, Any]) -> bytes:
    return b"\x02\x00\x01\x03" + json.dumps({"txpk": txpk}).encode()


def signed(chance: random.Random, fcnt: int) -> bytes:
    """A frame with a right MIC, whose inside is anything."""
    options = chance.randbytes(chance.choice((0, 0, 5, 15)))
    if chance.random() < 0.5:
        downwards = [kind for kind in KINDS if kind.direction == DOWN]
        picked = (chance.choice(downwards) for _ in range(3))
        options = b"".join(bytes([kind.cid]) + chance.randbytes(kind.size) for kind in picked)[:15]
    frame = bytes([chance.choice((0x60, 0xA0))]) + KEYS.dev_addr.to_bytes(4, "little")
    frame += bytes([chance.choice((0, 0x10, 0x20, 0xF0)) | len(options)])
    frame += fcnt.to_bytes(2, "little") + options
    if chance.random() < 0.7:
        port = chance.choice((0, 0, 3, 255))
        payload = chance.randbytes(chance.randrange(200))
        frame += bytes([port])
        frame += cipher_payload(KEYS.of_port(port), DOWN, KEYS.dev_addr, fcnt, payload)
    return frame + data_mic(KEYS.nwk_skey, DOWN, KEYS.dev_addr, fcnt, frame)


def unbroken(c: Concentrator) -> None:
    failed = [one for one in c.events if isinstance(one, DeviceFailed | SessionFailed)]
    assert not failed, failed


@pytest.mark.parametrize("seed", range(4))
def test_datagrams(seed: int) -> None:
    chance = random.Random(seed)
    c = Concentrator(
        abp=True,
        uplink={"every": "5s", "data_rate": "SF7BW125"},
        model={"keep_alive": "1h"},
    )
    inputs = [vector.data for vector in LOADED.vectors]
    usual = {"freq": 868.1, "datr": "SF7BW125", "ipol": True, "data": "YPF9vkkgAQCqu8zd"}
    values: list[Any] = [
        None,
        True,
        -1,
        0,
        1,
        1.5,
        1e308,
        10**30,
        "",
        "x",
        "SF12BW500",
        [],
        {},
        [[]],
    ]
    for _ in range(600):
        data = mutated(chance.choice(inputs), chance)
        if chance.random() < 0.5:
            now = (round(c.now * 1e6) + chance.choice((0, 10**5, 10**6))) % (1 << 32)
            txpk = {**usual, "tmst": now}
            for _ in range(chance.randrange(3)):
                name = chance.choice(
                    (*usual, "tmst", "tmms", "imme", "powe", "size", "codr", "prea")
                )
                txpk[name] = chance.choice(values)
            data = pull_resp(txpk)
        to = OWN if chance.random() < 0.8 else (OWN[0], c.datagrams[-1][0])
        c._link.send_nowait(datagram_frame(SERVER, to, data))
        c.wait(chance.choice((0, 0, 0.01, 0.3, 2)))
    unbroken(c)
    c.take()
    assert c.next_packet()


@pytest.mark.parametrize("seed", range(4))
def test_frames_with_a_right_mic(seed: int) -> None:
    """Whatever the network commands, a node goes on, and what it sends are frames."""
    chance = random.Random(seed)
    c = Concentrator(
        abp=True,
        uplink={"every": "5s", "data_rate": "SF7BW125"},
        model={"keep_alive": "1h"},
    )
    fcnt = heard = 0
    for _ in range(150):
        c.wait(7)
        packets = c.packets()
        if not packets:  # by then its power may be too low, or its duty cycle
            c.wait(3600)
            continue
        for packet in packets:
            frame = read_frame(packet["data"])
            assert frame is not None
            assert (
                data_mic(KEYS.nwk_skey, UP, KEYS.dev_addr, frame["fcnt"], packet["data"][:-4])
                == (frame["mic"])
            )
            heard += 1
        fcnt += 1
        ahead = (packets[-1]["tmst"] + 1_000_000) % (1 << 32)
        txpk = {
            "freq": packets[-1]["freq"],
            "datr": packets[-1]["datr"],
            "ipol": True,
            "tmst": ahead,
        }
        c.receive(kind="PULL_RESP", txpk={**txpk, "data": signed(chance, fcnt)})
        c.wait(2)
    unbroken(c)
    assert heard > 20


@pytest.mark.parametrize("seed", range(4))
def test_join_accepts(seed: int) -> None:
    chance = random.Random(seed)
    c = Concentrator(uplink=None)
    for _ in range(60):
        packets = [one for one in c.packets() if one["frame"]["mtype"] == "JOIN_REQUEST"]
        if not packets:
            c.say(kind="JOIN_REQUEST")
            c.wait(8)
            continue
        (packet,) = packets[-1:]
        frequencies = tuple(chance.choice((0.0, 867.1, 1677.7)) for _ in range(5))
        data, _ = join_accept(
            packet["frame"]["dev_nonce"],
            join_nonce=chance.randrange(1 << 24),
            settings=chance.randrange(256),
            delay=chance.randrange(256),
            frequencies=frequencies if chance.random() < 0.5 else (),
        )
        if c.now - packet["tmst"] / 1e6 < 4.9:
            c.downlink(mutated(data, chance)[:255], packet, 5.0)
        c.wait(7)
        c.say(data="x", port=chance.randrange(1, 225))
    unbroken(c)


def test_radio_frames_of_any_kind() -> None:
    chance = random.Random(7)
    for size in range(256):
        for _ in range(8):
            frame = read_frame(chance.randbytes(size))
            assert frame is None or frame["mtype"]
