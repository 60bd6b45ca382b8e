"""LwM2M's content formats (TS Core 1.1.1, section 7.4): the standard's examples, other bodies, bad ones."""

from __future__ import annotations

import io
import json
from typing import Any

import cbor2
import pytest
from hypothesis import given, strategies

from iotsim.protocol.registry import load_protocol

load_protocol("lwm2m")

from iotsim.protocols.lwm2m import content, senml, tlv  # noqa: E402
from iotsim.protocols.lwm2m.message import RefusedError  # noqa: E402
from iotsim.protocols.lwm2m.objects import definition_of  # noqa: E402

DEVICE = {
    "0": "Open Mobile Alliance",
    "1": "Lightweight M2M Client",
    "2": "345000123",
    "3": "1.0",
    "6": {"0": 1, "1": 5},
    "7": {"0": 3800, "1": 5000},
    "8": {"0": 125, "1": 900},
    "9": 100,
    "10": 15,
    "11": {"0": 0},
    "13": 1367491215,
    "14": "+02:00",
    "16": "U",
}
"""The Device object of the standard's examples (section 7.4.3.1)."""
DEVICE_TLV = bytes.fromhex(
    """
    C8 00 14 4F 70 65 6E 20 4D 6F 62 69 6C 65 20 41 6C 6C 69 61 6E 63 65
    C8 01 16 4C 69 67 68 74 77 65 69 67 68 74 20 4D 32 4D 20 43 6C 69 65 6E 74
    C8 02 09 33 34 35 30 30 30 31 32 33
    C3 03 31 2E 30
    86 06 41 00 01 41 01 05
    88 07 08 42 00 0E D8 42 01 13 88
    87 08 41 00 7D 42 01 03 84
    C1 09 64
    C1 0A 0F
    83 0B 41 00 00
    C4 0D 51 82 42 8F
    C6 0E 2B 30 32 3A 30 30
    C1 10 55
    """
)
INSTANCE_TLV = bytes.fromhex("08 00 79") + DEVICE_TLV


def kind_at(path: tuple[int, ...]) -> str:
    return definition_of(path[0], path[2]).kind


def decode(body: Any, path: tuple[int, ...], format_: str) -> Any:
    return content.decode(body, path, format_, kind_at)


def test_tlv_of_an_instance() -> None:
    assert content.encode(DEVICE, (3, 0), content.TLV) == DEVICE_TLV
    assert decode(DEVICE_TLV, (3, 0), content.TLV) == DEVICE


def test_tlv_of_an_object() -> None:
    assert content.encode({"0": DEVICE}, (3,), content.TLV) == INSTANCE_TLV
    assert decode(INSTANCE_TLV, (3,), content.TLV) == {"0": DEVICE}
    assert decode(INSTANCE_TLV, (3, 0), content.TLV) == DEVICE  # which may be named again


def test_tlv_of_several_instances_with_instances_of_resources() -> None:
    """Section 7.4.3.2, example of the Access Control object."""
    objects = {
        "0": {"0": 1, "1": 0, "2": {"127": 7}, "3": 127},
        "2": {"0": 3, "1": 0, "2": {"127": 7, "310": 1}, "3": 127},
    }
    data = bytes.fromhex(
        """
        08 00 0E C1 00 01 C1 01 00 83 02 41 7F 07 C1 03 7F
        08 02 12 C1 00 03 C1 01 00 87 02 41 7F 07 61 01 36 01 C1 03 7F
        """
    )
    assert content.encode(objects, (2,), content.TLV) == data
    assert decode(data, (2,), content.TLV) == objects


def test_tlv_of_object_links() -> None:
    """Section 7.4.3.3."""
    data = bytes.fromhex("88 00 0C 44 00 00 42 00 00 44 01 00 42 00 01 C8 01 0D")
    data += b"8613800755500" + bytes.fromhex("C4 02 12 34 56 78")
    entries = tlv.read(data)
    assert [one.kind for one in entries] == [tlv.MULTIPLE, tlv.RESOURCE, tlv.RESOURCE]
    assert [tlv.read_value(one.value, "objlink") for one in entries[0].value] == ["66:0", "66:1"]
    assert tlv.read_value(entries[2].value, "integer") == 0x12345678
    assert tlv.write(entries) == data
    assert tlv.write_value("66:1", "objlink") == bytes.fromhex("0042 0001")


@pytest.mark.parametrize(
    ("kind", "value", "data"),
    [
        ("integer", 127, "7f"),
        ("integer", -128, "80"),
        ("integer", 128, "0080"),
        ("integer", -32769, "ffff7fff"),
        ("integer", 1 << 31, "0000000080000000"),
        ("time", 1367491215, "5182428f"),
        ("float", 20.5, "4034800000000000"),
        ("boolean", True, "01"),
        ("boolean", False, "00"),
        ("string", "Ü", "c39c"),
        ("opaque", b"\0\xff", "00ff"),
        ("", "text", "74657874"),
        ("", b"\xff", "ff"),
    ],
)
def test_tlv_values(kind: str, value: Any, data: str) -> None:
    """Appendix C."""
    assert tlv.write_value(value, kind).hex() == data
    assert tlv.read_value(bytes.fromhex(data), kind) == value


def test_tlv_takes_short_floats() -> None:
    assert tlv.read_value(bytes.fromhex("41a40000"), "float") == 20.5


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("integer", ""),
        ("integer", "000102"),
        ("float", "4034"),
        ("boolean", "02"),
        ("boolean", ""),
        ("objlink", "0001"),
        ("string", "ff"),
    ],
)
def test_tlv_values_of_another_length_or_kind(kind: str, data: str) -> None:
    with pytest.raises(RefusedError):
        tlv.read_value(bytes.fromhex(data), kind)


@pytest.mark.parametrize(
    "data",
    [
        "c1",  # an id, and no value
        "c8 00",  # no length
        "c8 00 05 01",  # a length that lies
        "f8 00 00 ff ff ff",
        "08 00 04 08 01 01 00",  # an instance in an instance
        "08 00 02 41 00",  # a resource instance in an instance
        "83 00 c1 00 01",  # a resource in a resource
    ],
)
def test_what_is_no_tlv(data: str) -> None:
    with pytest.raises(RefusedError) as caught:
        tlv.read(bytes.fromhex(data))
    assert caught.value.code == "BAD_REQUEST"


@given(strategies.binary(max_size=64))
def test_tlv_of_any_bytes_is_read_or_refused(data: bytes) -> None:
    try:
        entries = tlv.read(data)
    except RefusedError:
        return
    assert tlv.read(tlv.write(entries)) == entries


def test_senml_json() -> None:
    """Section 7.4.4, the example of the Device object."""
    body = content.encode(DEVICE, (3, 0), senml.SENML_JSON)
    records = json.loads(body)
    assert records[0] == {"bn": "/3/0/", "n": "0", "vs": "Open Mobile Alliance"}
    assert {"n": "6/1", "v": 5} in records
    assert {"n": "9", "v": 100} in records
    assert {"n": "16", "vs": "U"} in records
    assert decode(body, (3, 0), senml.SENML_JSON) == DEVICE


def test_senml_cbor_is_cbor() -> None:
    body = content.encode(DEVICE, (3, 0), senml.SENML_CBOR)
    records = cbor2.loads(body)  # type: ignore[arg-type]
    assert records[0] == {-2: "/3/0/", 0: "0", 3: "Open Mobile Alliance"}
    assert {0: "6/1", 2: 5} in records
    assert decode(body, (3, 0), senml.SENML_CBOR) == DEVICE
    out = io.BytesIO()
    cbor2.dump([{-2: "/3311/0/", 0: "5850", 4: True}, {0: "5851", 2: 20}], out)
    assert decode(out.getvalue(), (3311, 0), senml.SENML_CBOR) == {"5850": True, "5851": 20}


@pytest.mark.parametrize("format_", [senml.SENML_JSON, senml.SENML_CBOR])
def test_senml_values_of_all_kinds(format_: str) -> None:
    values = {"0": {"0": b"\xfb\xff", "1": "http://x", "3": 2}}
    assert decode(content.encode(values, (5,), format_), (5,), format_) == values
    for path, value in (((3, 0, 9), 7), ((3, 0, 7, 1), 3800), ((3, 0, 22), {"0": "10:0"})):
        body = content.encode(value, path, format_)
        assert decode(body, path, format_) == value


def test_senml_has_bytes_in_base64_for_urls() -> None:
    body = content.encode(b"\xfb\xff", (5, 0, 0), senml.SENML_JSON)
    assert json.loads(body) == [{"bn": "/5/0/0", "vd": "-_8"}]


@pytest.mark.parametrize(
    "records",
    [
        {},
        [1],
        [{"n": "/3/0/9", "v": "1"}],
        [{"n": "/3/0/9", "v": True}],
        [{"n": "/3/0/9", "v": 1, "vs": "1"}],
        [{"n": "3/0/9", "v": 1}],
        [{"bn": 3, "n": "/3/0/9", "v": 1}],
        [{"bn": "/3/0/", "n": "x", "v": 1}],
        [{"bn": "/3/0/9/0/0", "v": 1}],
        [{"bn": "/5/0/0", "vd": "*"}],
        [{"bn": "/5/0/0", "vd": 1}],
        [{"bn": "/4/0/", "n": "9", "v": 1}],
        [{"bn": "/3/0/", "n": "9", "v": 1}, {"n": "9/0", "v": 1}],
        [{"n": "/3/0/9", "v": 1}] * 5000,
    ],
)
def test_what_is_no_senml(records: Any) -> None:
    with pytest.raises(RefusedError) as caught:
        decode(json.dumps(records), (3, 0), senml.SENML_JSON)
    assert caught.value.code == "BAD_REQUEST"


def test_deep_nesting_is_refused() -> None:
    for body, format_ in (("[" * 9000, senml.SENML_JSON), (b"\x81" * 9000, senml.SENML_CBOR)):
        with pytest.raises(RefusedError):
            decode(body, (3, 0), format_)


@pytest.mark.parametrize(
    ("path", "value", "text"),
    [
        ((3, 0, 9), 100, "100"),
        ((3303, 0, 5700), 20.5, "20.5"),
        ((3311, 0, 5850), True, "1"),
        ((3, 0, 14), "+02:00", "+02:00"),
        ((5, 0, 0), b"\xff\0", "/wA="),
        ((3, 0, 22, 0), "10:3", "10:3"),
    ],
)
def test_text(path: tuple[int, ...], value: Any, text: str) -> None:
    """Section 7.4.1."""
    assert content.encode(value, path, content.TEXT) == text
    assert decode(text, path, content.TEXT) == value


@pytest.mark.parametrize(
    ("path", "text"),
    [((3, 0, 9), "x"), ((3, 0, 9), "1.5"), ((3311, 0, 5850), "true"), ((5, 0, 0), "?")],
)
def test_text_of_another_kind(path: tuple[int, ...], text: str) -> None:
    with pytest.raises(RefusedError):
        decode(text, path, content.TEXT)


@pytest.mark.parametrize("format_", [content.TEXT, content.OPAQUE, content.CBOR, "application/xml"])
def test_formats_that_take_no_tables(format_: str) -> None:
    with pytest.raises(RefusedError) as caught:
        content.encode(DEVICE, (3, 0), format_)
    assert caught.value.code == "NOT_ACCEPTABLE"
    with pytest.raises(RefusedError) as caught:
        decode("", (3, 0), format_)
    assert caught.value.code == "UNSUPPORTED_CONTENT_FORMAT"


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        (20, "float", 20.0),
        (20.4, "integer", 20),
        (1, "boolean", True),
        (7, "string", "7"),
        ("ab", "opaque", b"ab"),
        ("1:2", "objlink", "1:2"),
        ("65535:65535", "objlink", "65535:65535"),
    ],
)
def test_values_of_the_model_take_the_type_of_their_resource(
    value: Any, kind: str, expected: Any
) -> None:
    found = content.typed(value, kind)
    assert (found, type(found)) == (expected, type(expected))


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("x", "float"),
        (float("nan"), "integer"),
        (1 << 63, "integer"),
        (2, "boolean"),
        (b"x", "string"),
        (7, "opaque"),
        ("1", "objlink"),
        (None, ""),
        ([1], ""),
    ],
)
def test_values_that_do_not(value: Any, kind: str) -> None:
    with pytest.raises(ValueError, match="is no"):
        content.typed(value, kind)
