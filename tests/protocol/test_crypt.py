"""Encrypted: the published vectors of each mode, keys and nonces from everywhere, wrong input."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from construct import (
    Bytes,
    Const,
    GreedyBytes,
    Int8ub,
    Int16ub,
    Optional,
    Prefixed,
    SizeofError,
    Struct,
    this,
)
from hypothesis import given
from hypothesis import strategies as st

from iotsim import DecodeError, EncodeError, Encrypted, this_device
from iotsim.protocol.codec import Codec
from iotsim.protocol.crypt import DecryptionError
from iotsim.protocol.device import DeviceError, StandIn
from iotsim.protocol.fields import Schema
from iotsim.protocol.native import FunctionError


def unhex(text: str) -> bytes:
    return bytes.fromhex(text)


# NIST SP 800-38A, appendix F: the plain text of all its examples, and the key of 128 bits.
PLAIN = unhex(
    "6bc1bee22e409f96e93d7e117393172a ae2d8a571e03ac9c9eb76fac45af8e51"
    "30c81c46a35ce411e5fbc1191a0a52ef f69f2445df4f9b17ad2b417be66c3710"
)
KEY = unhex("2b7e151628aed2a6abf7158809cf4f3c")
KEY192 = unhex("8e73b0f7da0e6452c810f32b809079e562f8ead2522c6b7b")
KEY256 = unhex("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4")
IV = unhex("000102030405060708090a0b0c0d0e0f")
COUNTER = unhex("f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff")
# The GCM specification (McGrew, Viega), appendix B, test case 4.
GCM_KEY = unhex("feffe9928665731c6d6a8f9467308308")
GCM_PLAIN = unhex(
    "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
    "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39"
)
GCM_AAD = unhex("feedfacedeadbeeffeedfacedeadbeefabaddad2")
GCM_CIPHER = unhex(
    "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e"
    "21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091"
)
KNOWN: dict[str, tuple[dict[str, Any], bytes, bytes]] = {
    "SP 800-38A F.1.1 ECB-AES128": (
        {"mode": "ECB", "key": KEY, "padding": "none"},
        PLAIN,
        unhex(
            "3ad77bb40d7a3660a89ecaf32466ef97 f5d3d58503b9699de785895a96fdbaaf"
            "43b1cd7f598ece23881b00e3ed030688 7b0c785e27e8ad3f8223207104725dd4"
        ),
    ),
    "SP 800-38A F.2.1 CBC-AES128": (
        {"mode": "CBC", "key": KEY, "iv": IV, "padding": "none"},
        PLAIN,
        unhex(
            "7649abac8119b246cee98e9b12e9197d 5086cb9b507219ee95db113a917678b2"
            "73bed6b8e3c1743b7116e69e22229516 3ff1caa1681fac09120eca307586e1a7"
        ),
    ),
    "SP 800-38A F.2.3 CBC-AES192": (
        {"mode": "CBC", "key": KEY192, "iv": IV, "padding": "none"},
        PLAIN[:16],
        unhex("4f021db243bc633d7178183a9fa071e8"),
    ),
    "SP 800-38A F.2.5 CBC-AES256": (
        {"mode": "CBC", "key": KEY256, "iv": IV, "padding": "none"},
        PLAIN[:16],
        unhex("f58c4c04d6e5f1ba779eabfb5f7bfbd6"),
    ),
    "SP 800-38A F.5.1 CTR-AES128": (
        {"mode": "CTR", "key": KEY, "nonce": COUNTER},
        PLAIN,
        unhex(
            "874d6191b620e3261bef6864990db6ce 9806f66b7970fdff8617187bb9fffdff"
            "5ae4df3edbd5d35e5b4f09020db03eab 1e031dda2fbe03d1792170a0f3009cee"
        ),
    ),
    "RFC 3602 case 1": (
        {
            "mode": "CBC",
            "key": unhex("06a9214036b8a15b512e03d534120006"),
            "iv": unhex("3dafba429d9eb430b422da802c9fac41"),
            "padding": "none",
        },
        b"Single block msg",
        unhex("e353779c1079aeb82708942dbe77181a"),
    ),
    "SP 800-38C example 1": (
        {
            "mode": "CCM",
            "key": unhex("404142434445464748494a4b4c4d4e4f"),
            "nonce": unhex("10111213141516"),
            "associated": unhex("0001020304050607"),
            "tag": 4,
        },
        unhex("20212223"),
        unhex("7162015b 4dac255d"),
    ),
    "RFC 3610 packet vector 1": (
        {
            "mode": "CCM",
            "key": unhex("c0c1c2c3c4c5c6c7c8c9cacbcccdcecf"),
            "nonce": unhex("00000003020100a0a1a2a3a4a5"),
            "associated": unhex("0001020304050607"),
            "tag": 8,
        },
        unhex("08090a0b0c0d0e0f101112131415161718191a1b1c1d1e"),
        unhex("588c979a61c663d2f066d0c2c0f989806d5f6b61dac384 17e8d12cfdf926e0"),
    ),
    "GCM test case 2": (
        {"mode": "GCM", "key": bytes(16), "nonce": bytes(12)},
        bytes(16),
        unhex("0388dace60b6a392f328c2b971b2fe78 ab6e47d42cec13bdf53a67b21257bddf"),
    ),
    "GCM test case 4": (
        {
            "mode": "GCM",
            "key": GCM_KEY,
            "nonce": unhex("cafebabefacedbaddecaf888"),
            "associated": GCM_AAD,
        },
        GCM_PLAIN,
        GCM_CIPHER + unhex("5bc94fbc3221a5db94fae95ae7121a47"),
    ),
    "GCM test case 5, a nonce of 8 bytes": (
        {
            "mode": "GCM",
            "key": GCM_KEY,
            "nonce": unhex("cafebabefacedbad"),
            "associated": GCM_AAD,
        },
        GCM_PLAIN,
        unhex(
            "61353b4c2806934a777ff51fa22a4755699b2a714fcdc6f83766e5f97b6c7423"
            "73806900e49f24b22b097544d4896b424989b5e1ebac0f07c23f4598"
            "3612d2e79e3b0785561be14aaca2fccb"
        ),
    ),
}


def codec(**parameters: Any) -> Codec:
    return Codec(Struct("x" / Encrypted(GreedyBytes, **parameters)))


@pytest.mark.parametrize("name", KNOWN)
def test_published_vectors(name: str) -> None:
    parameters, plain, encrypted = KNOWN[name]
    made = codec(**parameters)
    assert made.encode({"x": plain}) == encrypted
    assert made.decode(encrypted) == {"x": plain}


def test_a_shorter_tag_is_the_beginning_of_the_tag() -> None:
    made = codec(
        mode="GCM",
        key=GCM_KEY,
        nonce=unhex("cafebabefacedbaddecaf888"),
        associated=GCM_AAD,
        tag=12,
    )
    encrypted = GCM_CIPHER + unhex("5bc94fbc3221a5db94fae95a")
    assert made.encode({"x": GCM_PLAIN}) == encrypted
    assert made.decode(encrypted) == {"x": GCM_PLAIN}


@given(st.binary(max_size=80), st.sampled_from(["pkcs7", "zeros"]))
def test_padding_comes_off_again(plain: bytes, padding: str) -> None:
    made = codec(mode="CBC", key=KEY, iv=IV, padding=padding)
    encrypted = made.encode({"x": plain})
    assert len(encrypted) % 16 == 0
    assert len(encrypted) > len(plain) or (padding == "zeros" and len(encrypted) == len(plain))
    expected = plain if padding == "pkcs7" else plain.rstrip(b"\0")
    assert made.decode(encrypted) == {"x": expected}


MODES: list[dict[str, Any]] = [
    {"mode": "ECB"},
    {"mode": "CBC", "iv": IV},
    {"mode": "CTR", "nonce": IV},
    {"mode": "CCM", "nonce": IV[:13]},
    {"mode": "GCM", "nonce": IV[:12]},
]


@pytest.mark.parametrize("mode", MODES, ids=str)
@given(data=st.binary(max_size=70))
def test_any_bytes_are_decrypted_or_refused(mode: dict[str, Any], data: bytes) -> None:
    made = codec(key=KEY, **mode)
    try:
        plain = made.decode(data)
    except DecodeError as error:
        refused = error
    else:
        assert made.encode(plain) == data
        return
    assert (refused.path, refused.offset) == ("x", 0)
    assert isinstance(refused.__cause__, DecryptionError)


@pytest.mark.parametrize(
    ("mode", "change", "reason"),
    [
        (MODES[1], lambda data: data[:-1], "31 encrypted bytes are no blocks of 16"),
        (MODES[1], lambda data: b"", "no padding at its end: encrypted with another key"),
        (
            MODES[1],
            lambda data: data[:-1] + b"\0",
            "no padding at its end: encrypted with another key",
        ),
        (MODES[3], lambda data: data[:15], "15 bytes are shorter than the tag, 16"),
        (MODES[3], lambda data: data[:-1] + b"\0", "wrong tag: "),
        (MODES[4], lambda data: b"\0" + data[1:], "wrong tag: encrypted with another key or nonce"),
    ],
)
def test_what_was_changed_on_the_way(mode: dict[str, Any], change: Any, reason: str) -> None:
    made = codec(key=KEY, **mode)
    data = made.encode({"x": b"twenty bytes of text"})
    with pytest.raises(DecodeError) as caught:
        made.decode(change(data))
    assert caught.value.reason.startswith(reason)
    assert caught.value.path == "x"


def test_an_optional_goes_on_after_another_key() -> None:
    """As after every construct that does not match."""
    encrypted = Encrypted(GreedyBytes, mode="GCM", key=KEY, nonce=IV)
    made = Codec(Struct("x" / Optional(encrypted), "rest" / GreedyBytes))
    assert made.decode(bytes(20)) == {"x": None, "rest": bytes(20)}


def test_nonce_and_associated_bytes_of_the_message_and_a_key_of_the_device() -> None:
    message = Struct(
        "sender" / Int16ub,
        "nonce" / Bytes(12),
        "body"
        / Prefixed(
            Int8ub,
            Encrypted(
                Struct("magic" / Const(b"!"), "level" / Int16ub),
                mode="GCM",
                key=this_device.state.key,
                nonce=this.nonce,
                associated=lambda fields: fields.sender.to_bytes(2, "big"),
            ),
        ),
        "end" / Int8ub,
    )
    made = Codec(message)
    device = StandIn(state={"key": KEY})
    fields = {"sender": 7, "nonce": IV[:12], "body": {"level": 300}, "end": 255}
    data = made.encode(fields, device)
    assert data[:2] + data[-1:] == b"\0\x07\xff"
    assert data[14] == 3 + 16
    assert made.decode(data, device)["body"] == {"magic": b"!", "level": 300}
    with pytest.raises(DecodeError, match="body: wrong tag"):
        made.decode(b"\0\x08" + data[2:], device)
    with pytest.raises(DecodeError, match="body: wrong tag"):
        made.decode(data, StandIn(state={"key": bytes(16)}))
    with pytest.raises(DecodeError, match=r"body\.level: the message ends too early"):
        made.decode(_short(made, data, device), device)
    assert [f.path for f in Schema(message).fields.values()] == [
        "sender", "nonce", "body", "body.magic", "body.level", "end",
    ]  # fmt: skip
    assert Schema(message).fields["body.level"].offset is None


def _short(made: Codec, data: bytes, device: StandIn) -> bytes:
    """A message as `data`, with a body of two bytes that are authentic."""
    other = Codec(
        Struct(
            "head" / Bytes(14),
            "body"
            / Prefixed(
                Int8ub,
                Encrypted(GreedyBytes, mode="GCM", key=KEY, nonce=data[2:14], associated=data[:2]),
            ),
            "end" / Int8ub,
        )
    )
    return other.encode({"head": data[:14], "body": b"!\0", "end": 255})


def short(fields: Any) -> bytes:
    return b"short"


@pytest.mark.parametrize("mode", ["CBC", "CTR", "CCM", "GCM"])
@pytest.mark.parametrize("around", [lambda it: it, Optional])
@pytest.mark.parametrize(
    ("key", "reason", "cause"),
    [
        (short, "an AES key has 16, 24 or 32 bytes, not 5", FunctionError),
        (lambda fields: None, "an AES key is NoneType, and no bytes", FunctionError),
        (this.key, "<lambda>() failed", FunctionError),
        (this_device.state.key, "device[0] has no 'key' in its state", DeviceError),
        (this_device.data.key, "an AES key has 16, 24 or 32 bytes, not 6", DeviceError),
        (this_device.name, "an AES key is str, and no bytes", DeviceError),
    ],
)
def test_a_key_that_is_none_is_an_error_wherever_it_is_asked_for(
    mode: Any, around: Any, key: Any, reason: str, cause: type[Exception]
) -> None:
    device = StandIn(data={"key": b"secret"})
    start = "iv" if mode == "CBC" else "nonce"
    size = 13 if mode == "CCM" else 16
    encrypted = Encrypted(GreedyBytes, mode=mode, key=key, **{start: lambda fields: IV[:size]})
    made = Codec(Struct("x" / around(encrypted)), strict=False)
    with pytest.raises(DecodeError) as caught:
        made.decode(bytes(32), device)
    with pytest.raises(EncodeError) as refused:
        made.encode({"x": b"abc"}, device)
    for error in (caught.value, refused.value):
        assert reason.removeprefix("<lambda>() ") in error.reason
        assert error.path == "x"
        assert "secret" not in str(error)
        assert isinstance(error.__cause__, cause)


def test_a_nonce_of_the_message_that_cannot_be_one_is_the_messages_fault() -> None:
    encrypted = Encrypted(GreedyBytes, mode="GCM", key=KEY, nonce=this.nonce)
    nonce = "nonce" / Prefixed(Int8ub, GreedyBytes)
    with pytest.raises(DecodeError, match="the nonce of GCM has 8 to 128 bytes, mostly 12, not 2"):
        Codec(Struct(nonce, "x" / encrypted)).decode(b"\x02ab" + bytes(20))
    optional = Codec(Struct(nonce, "x" / Optional(encrypted), "y" / GreedyBytes))
    assert optional.decode(b"\x02ab" + bytes(20))["y"] == bytes(20)


def test_bytes_that_are_no_blocks_cannot_be_encrypted_without_padding() -> None:
    with pytest.raises(EncodeError, match="3 bytes are no whole blocks of 16"):
        codec(mode="ECB", key=KEY, padding="none").encode({"x": b"abc"})


@pytest.mark.parametrize(
    ("parameters", "text"),
    [
        ({"mode": "OFB", "key": KEY}, "the mode of Encrypted is one of ECB, CBC, CTR, CCM, GCM"),
        ({"mode": "CBC", "key": KEY}, "CBC needs an iv"),
        ({"mode": "CBC", "key": KEY, "iv": IV, "nonce": IV}, "CBC has no nonce"),
        ({"mode": "GCM", "key": KEY}, "GCM needs a nonce"),
        ({"mode": "ECB", "key": KEY, "iv": IV}, "ECB has no iv"),
        (
            {"mode": "CCM", "key": KEY, "nonce": IV[:9], "tag": 5},
            "CCM has not 5 bytes, but 4, 6, 8",
        ),
        ({"mode": "GCM", "key": KEY, "nonce": IV, "tag": 17}, "GCM has not 17 bytes"),
        ({"mode": "CBC", "key": KEY, "iv": IV, "padding": "x"}, "the padding is"),
        ({"mode": "CBC", "key": b"short", "iv": IV}, "an AES key has 16, 24 or 32 bytes, not 5"),
        ({"mode": "CBC", "key": "secret", "iv": IV}, "an AES key is str, and no bytes"),
        ({"mode": "CBC", "key": KEY, "iv": b""}, "the iv of CBC has 16 bytes, not 0"),
        ({"mode": "CTR", "key": KEY, "nonce": b"1"}, "the nonce of CTR has 16 bytes, the first "),
        ({"mode": "CCM", "key": KEY, "nonce": b"1"}, "the nonce of CCM has 7 to 13 bytes, not 1"),
        (
            {"mode": "GCM", "key": KEY, "nonce": IV, "associated": "x"},
            "what is associated is str, and no bytes",
        ),
    ],
)
def test_what_makes_no_sense_is_refused_when_it_is_written(
    parameters: dict[str, Any], text: str
) -> None:
    with pytest.raises(ValueError, match=text):
        Encrypted(GreedyBytes, **parameters)


def test_its_size_is_not_known() -> None:
    with pytest.raises(SizeofError):
        Encrypted(GreedyBytes, mode="ECB", key=KEY).sizeof()


def test_without_the_package_it_says_how_to_get_it() -> None:
    code = """
import sys
sys.modules["cryptography"] = None
from construct import GreedyBytes
from iotsim import Encrypted, ProtocolError
try:
    Encrypted(GreedyBytes, mode="ECB", key=bytes(16))
except ProtocolError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == (
        "Encrypted needs the package cryptography: pip install 'iotsim-tun[crypto]'\n"
    )
