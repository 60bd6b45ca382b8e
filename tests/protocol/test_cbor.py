"""CBOR to plain values and back: the examples of RFC 8949, the notation, and hostile bytes."""

from __future__ import annotations

import contextlib
import math
import time
from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotsim.protocol import cbor
from iotsim.protocol.cbor import CborError

# RFC 8949, appendix A: those that are in preferred serialization.
SAME = [
    ("00", 0),
    ("01", 1),
    ("0a", 10),
    ("17", 23),
    ("1818", 24),
    ("1819", 25),
    ("1864", 100),
    ("1903e8", 1000),
    ("1a000f4240", 1000000),
    ("1b000000e8d4a51000", 1000000000000),
    ("1bffffffffffffffff", 18446744073709551615),
    ("c249010000000000000000", 18446744073709551616),
    ("3bffffffffffffffff", -18446744073709551616),
    ("c349010000000000000000", -18446744073709551617),
    ("20", -1),
    ("29", -10),
    ("3863", -100),
    ("3903e7", -1000),
    ("f90000", 0.0),
    ("f98000", -0.0),
    ("f93c00", 1.0),
    ("fb3ff199999999999a", 1.1),
    ("f93e00", 1.5),
    ("f97bff", 65504.0),
    ("fa47c35000", 100000.0),
    ("fa7f7fffff", 3.4028234663852886e38),
    ("fb7e37e43c8800759c", 1.0e300),
    ("f90001", 5.960464477539063e-8),
    ("f90400", 0.00006103515625),
    ("f9c400", -4.0),
    ("fbc010666666666666", -4.1),
    ("f97c00", math.inf),
    ("f9fc00", -math.inf),
    ("f4", False),
    ("f5", True),
    ("f6", None),
    ("f7", {"simple(23)": True}),
    ("f0", {"simple(16)": True}),
    ("f8ff", {"simple(255)": True}),
    ("c074323031332d30332d32315432303a30343a30305a", {"tag(0)": "2013-03-21T20:04:00Z"}),
    ("c11a514b67b0", {"tag(1)": 1363896240}),
    ("c1fb41d452d9ec200000", {"tag(1)": 1363896240.5}),
    ("d74401020304", {"tag(23)": b"\x01\x02\x03\x04"}),
    ("d818456449455446", {"tag(24)": b"dIETF"}),
    (
        "d82076687474703a2f2f7777772e6578616d706c652e636f6d",
        {"tag(32)": "http://www.example.com"},
    ),
    ("40", b""),
    ("4401020304", b"\x01\x02\x03\x04"),
    ("60", ""),
    ("6161", "a"),
    ("6449455446", "IETF"),
    ("62225c", '"\\'),
    ("62c3bc", "\u00fc"),
    ("63e6b0b4", "\u6c34"),
    ("64f0908591", "\U00010151"),
    ("80", []),
    ("83010203", [1, 2, 3]),
    ("8301820203820405", [1, [2, 3], [4, 5]]),
    ("98190102030405060708090a0b0c0d0e0f101112131415161718181819", [*range(1, 26)]),
    ("a0", {}),
    ("a201020304", {"1": 2, "3": 4}),
    ("a26161016162820203", {"a": 1, "b": [2, 3]}),
    ("826161a161626163", ["a", {"b": "c"}]),
    (
        "a56161614161626142616361436164614461656145",
        {"a": "A", "b": "B", "c": "C", "d": "D", "e": "E"},
    ),
]

# And those that are not: their bytes become others, of the same value.
OTHERWISE = [
    ("fa7f800000", math.inf),
    ("fb7ff0000000000000", math.inf),
    ("faff800000", -math.inf),
    ("5f42010243030405ff", b"\x01\x02\x03\x04\x05"),
    ("7f657374726561646d696e67ff", "streaming"),
    ("9fff", []),
    ("9f018202039f0405ffff", [1, [2, 3], [4, 5]]),
    ("9f01820203820405ff", [1, [2, 3], [4, 5]]),
    ("83018202039f0405ff", [1, [2, 3], [4, 5]]),
    ("83019f0203ff820405", [1, [2, 3], [4, 5]]),
    ("9f0102030405060708090a0b0c0d0e0f101112131415161718181819ff", [*range(1, 26)]),
    ("bf61610161629f0203ffff", {"a": 1, "b": [2, 3]}),
    ("826161bf61626163ff", ["a", {"b": "c"}]),
    ("bf6346756ef563416d7421ff", {"Fun": True, "Amt": -2}),
    ("1800", 0),
    ("1b0000000000000001", 1),
    ("c24101", 1),
    ("c240", 0),
    ("fb3ff0000000000000", 1.0),
]

# Not well-formed (RFC 8949, appendix F), or not valid, or beyond the bounds.
REFUSED = [
    ("", "ends too early"),
    ("18", "ends too early"),
    ("19 01", "ends too early"),
    ("1b 01020304050607", "ends too early"),
    ("f9 00", "ends too early"),
    ("f8", "ends too early"),
    ("61", "ends too early"),
    ("42 01", "ends too early"),
    ("5b ffffffffffffffff 010203", "ends too early"),
    ("5f 41 00", "ends too early"),
    ("81", "ends too early"),
    ("9b ffffffffffffffff", "ends too early"),
    ("a1", "ends too early"),
    ("a1 00", "ends too early"),
    ("a1 61", "ends too early"),
    ("a1 62 61", "ends too early"),
    ("bb ffffffffffffffff 00 00", "ends too early"),
    ("9f 81 9f 81 9f 9f ff ff ff", "ends too early"),
    ("c0", "ends too early"),
    ("bf 00 ff", "begins with 0xff"),
    ("bf 00 00 00 ff", "the key 0 twice"),
    ("1c", "begins with 0x1c"),
    ("3f", "begins with 0x3f"),
    ("df", "begins with 0xdf"),
    ("1f", "begins with 0x1f"),
    ("fc", "begins with 0xfc"),
    ("ff", "begins with 0xff"),
    ("81 ff", "begins with 0xff"),
    ("82 00 ff", "begins with 0xff"),
    ("a1 ff 00", "begins with 0xff"),
    ("5f 00 ff", "a chunk of another kind"),
    ("5f 61 00 ff", "a chunk of another kind"),
    ("7f 41 61 ff", "a chunk of another kind"),
    ("5f 5f 41 00 ff ff", "a chunk of another kind"),
    ("f8 14", "simple value 20 in two bytes"),
    ("f8 1f", "simple value 31 in two bytes"),
    ("00 00", "1 byte is left over"),
    ("a0 6162", "2 bytes are left over"),
    ("61 ff", "no UTF-8"),
    ("62 eda0", "no UTF-8"),
    ("63 eda080", "no UTF-8"),
    ("7f 61 c3 61 bc ff", "no UTF-8"),
    ("a2 6161 00 6161 01", "the key a twice"),
    ("a2 01 00 1801 01", "the key 1 twice"),
    ("a1 f4 00", "neither text, integer nor bytes"),
    ("a1 f93c00 00", "neither text, integer nor bytes"),
    ("a1 80 00", "neither text, integer nor bytes"),
    ("a1 f7 00", "neither text, integer nor bytes"),
    ("81" * 65 + "00", "nested too deeply"),
    ("9f" * 65 + "ff" * 65, "nested too deeply"),
    ("a100" * 65 + "00", "nested too deeply"),
    ("c6" * 65 + "00", "nested too deeply"),
    ("c2 590201 01" + "00" * 512, "more than 4096 bits"),
]


def same(one: Any, other: Any) -> bool:
    """Equal, with NaN equal to NaN, 1 unequal to 1.0 and True, and 0.0 unequal to -0.0."""
    return repr(one) == repr(other)


@pytest.mark.parametrize(("text", "value"), SAME)
def test_the_examples_of_the_rfc_decode_and_encode(text: str, value: Any) -> None:
    data = bytes.fromhex(text)
    assert same(cbor.decode(data), value)
    assert cbor.encode(value) == data


@pytest.mark.parametrize(("text", "value"), OTHERWISE)
def test_what_is_not_in_the_shortest_form_decodes_to_the_same(text: str, value: Any) -> None:
    assert same(cbor.decode(bytes.fromhex(text)), value)
    assert same(cbor.decode(cbor.encode(value)), value)


def test_nan_of_any_size_is_nan_and_is_written_short() -> None:
    for text in ("f97e00", "fa7fc00000", "fb7ff8000000000000"):
        assert math.isnan(cbor.decode(bytes.fromhex(text)))
    assert cbor.encode(math.nan) == bytes.fromhex("f97e00")


@pytest.mark.parametrize(("text", "reason"), REFUSED)
def test_what_is_no_cbor_is_refused_with_a_reason(text: str, reason: str) -> None:
    with pytest.raises(CborError, match=reason):
        cbor.decode(bytes.fromhex(text))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a1 01 02", {"1": 2}),
        ("a1 6131 02", {'"1"': 2}),
        ("a1 21 02", {"-2": 2}),
        ("a1 622d32 02", {'"-2"': 2}),
        ("a1 623031 02", {"01": 2}),
        ("a1 622d30 02", {"-0": 2}),
        ("a1 420aff 02", {"hex:0aff": 2}),
        ("a1 686865783a30616666 02", {'"hex:0aff"': 2}),
        ("a1 647461672e 02", {"tag.": 2}),
        ("a1 6674616728312902", {'"tag(1)"': 2}),
        ("a1 6a73696d706c6528323329 f5", {'"simple(23)"': True}),
        ("a1 63223122 02", {'""1""': 2}),
        ("a1 64223122 22 02", {'"1""': 2}),
        ("a1 6122 02", {'"': 2}),
        ("a1 63226122 02", {'"a"': 2}),
        ("a1 656865783a30 02", {"hex:0": 2}),
        ("a1 60 02", {"": 2}),
        ("a1 c24901000000000000000002", {"18446744073709551616": 2}),
    ],
)
def test_keys_of_maps_have_a_notation_that_loses_nothing(text: str, value: Any) -> None:
    data = bytes.fromhex(text)
    assert cbor.decode(data) == value
    assert cbor.encode(value) == data


def test_python_may_give_keys_as_they_are() -> None:
    assert cbor.encode({-2: "a", b"\x0a": 1}) == bytes.fromhex("a2 21 6161 410a 01")


@pytest.mark.parametrize(
    ("value", "reason", "path"),
    [
        ({1.5}, "CBOR has no set", []),
        ({"a": [0, object()]}, "CBOR has no object", ["a", "1"]),
        ({"tag(1)": {"b": 1j}}, "CBOR has no complex", ["tag(1)", "b"]),
        ({"a": "\ud800"}, "UTF-8", ["a"]),
        ({"a\ud800": 1}, "UTF-8", ["a\ud800"]),
        ({"tag(1)": 1, "b": 2}, "in double quotes", ["tag(1)"]),
        ({"simple(23)": False}, "no simple value", []),
        ({"simple(20)": True}, "no simple value", []),
        ({"simple(24)": True}, "no simple value", []),
        ({"simple(256)": True}, "no simple value", []),
        ({f"tag({1 << 64})": 0}, "more than 64 bits", []),
        ({1: 1, "1": 1}, "twice", ["1"]),
        ({b"\x0a": 1, "hex:0a": 1}, "twice", [r"b'\n'"]),
        ({True: 1}, "a text, an integer or bytes", ["True"]),
        ({None: 1}, "a text, an integer or bytes", ["None"]),
        (1 << 4096, "more than 4096 bits", []),
        (-1 << 4097, "more than 4096 bits", []),
        ({"9" * 1300: 1}, "more than 4096 bits", ["9" * 1300]),
    ],
)
def test_what_has_no_form_in_cbor_is_refused_with_its_path(
    value: Any, reason: str, path: list[str]
) -> None:
    with pytest.raises(CborError, match=reason) as caught:
        cbor.encode(value)
    assert caught.value.path == path


def test_what_is_nested_too_deeply_for_decoding_is_so_for_encoding() -> None:
    deep: Any = 0
    for _ in range(64):
        deep = {"a": [deep]} if isinstance(deep, int) else [deep]
    with pytest.raises(CborError, match="nested too deeply"):
        cbor.encode(deep)
    just = 0
    for _ in range(64):
        just = [just]  # type: ignore[assignment]
    assert cbor.decode(cbor.encode(just)) == just
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(CborError, match="nested too deeply"):
        cbor.encode(endless)


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 70), 1 << 70)
    | st.floats()
    | st.text()
    | st.binary(),
    lambda inner: (
        st.lists(inner, max_size=30)
        | st.dictionaries(
            st.text().filter(lambda name: not name.startswith(("tag(", "simple(")))
            | st.sampled_from(
                ["1", '"1"', "-7", "-0", "hex:00", '"', '"a"', "tag", '"tag(2)"', '""1"']
            ),
            inner,
            max_size=30,
        )
        | st.builds(lambda number, value: {f"tag({number})": value}, st.integers(4, 255), inner)
    ),
    max_leaves=30,
)


@given(VALUES)
def test_what_encodes_comes_back(value: Any) -> None:
    assert same(cbor.decode(cbor.encode(value)), value)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_value_that_encodes_or_are_refused(data: bytes) -> None:
    try:
        value = cbor.decode(data)
    except CborError:
        return
    assert same(cbor.decode(cbor.encode(value)), value)


PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 70), 1 << 70)
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary(),
    lambda inner: (
        st.lists(inner, max_size=30)
        | st.dictionaries(st.from_regex(r"[a-gi-r]\w{0,30}", fullmatch=True), inner, max_size=30)
    ),
    max_leaves=30,
)


@given(PLAIN)
def test_another_codec_reads_and_writes_the_same(value: Any) -> None:
    assert same(cbor2.loads(cbor.encode(value)), value)
    assert same(cbor.decode(cbor2.dumps(value)), value)


@given(PLAIN)
def test_it_is_as_short_as_that_of_another_codec(value: Any) -> None:
    assert len(cbor.encode(value)) == len(cbor2.dumps(value, canonical=True))


@pytest.mark.parametrize(
    "data",
    [
        b"\x9f" * 65_507,
        b"\x81" * 65_507,
        b"\x5f" + b"\x40" * 65_506,
        b"\x7f" + b"\x61a" * 32_753,
        b"\x9f" + b"\x80" * 65_505 + b"\xff",
        b"\xbf" + b"".join(b"\x19" + i.to_bytes(2, "big") + b"\0" for i in range(256, 16_000)),
        b"\xbf"
        + b"".join(
            b"\xc2\x4a" + (i * (2**61 - 1)).to_bytes(10, "big") + b"\0" for i in range(5000)
        ),
        b"\xc2\x59\xff\xe0" + b"\xff" * 65_504,
    ],
)
def test_no_datagram_takes_long(data: bytes) -> None:
    start = time.process_time()
    with contextlib.suppress(CborError):
        cbor.decode(data)
    assert time.process_time() - start < 1
