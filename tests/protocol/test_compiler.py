"""The generated codec does what construct does: on bytes, on values, on what it refuses."""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from iotsim.errors import DecodeError, EncodeError
from iotsim.protocol.generate.compiler import compile_schema
from iotsim.protocol.interpreted import Interpreter

spec = importlib.util.spec_from_file_location("schemas", Path(__file__).with_name("schemas.py"))
assert spec is not None
assert spec.loader is not None
schemas = importlib.util.module_from_spec(spec)
spec.loader.exec_module(schemas)


class Both:
    """The generated functions without their safety net, and the reference."""

    def __init__(self, message: Any, strict: bool) -> None:
        self.reference = Interpreter(message, strict)
        self.compiled = compile_schema(message, self.reference)
        names = self.compiled.decode.__globals__
        names["decode_by_construct"] = self.stop
        names["encode_by_construct"] = self.stop

    @staticmethod
    def stop(_: Any) -> Any:
        raise LookupError

    def given_up(self, expected: Any) -> Any:
        """What the generated code may leave to the reference: errors, and what it said it would."""
        return expected if "(message)" in self.compiled.fallbacks else None

    def decode(self, data: bytes) -> Any:
        try:
            expected: Any = self.reference.decode(data)
        except DecodeError:
            expected = None
        try:
            found: Any = self.compiled.decode(data)
        except LookupError:
            found = self.given_up(expected)
        assert same(found, expected), (data, found, expected, self.compiled.source)
        return expected

    def encode(self, message: Any, must: bool = False) -> bytes | None:
        try:
            expected: Any = self.reference.encode(message)
        except EncodeError:
            expected = None
        try:
            found: Any = self.compiled.encode(message)
        except LookupError:
            # What is odd, an int for Bytes, is left to construct. What was decoded is not odd.
            found = self.given_up(expected) if must else expected
        assert found == expected, (message, found, expected, self.compiled.source)
        return expected


def same(a: Any, b: Any) -> bool:
    """Equal values of equal types, in equal order."""
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, float) and math.isnan(a):
        return math.isnan(b)
    return bool(a == b)


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(st.data())
@pytest.mark.parametrize("strict", [False, True])
def test_random_schemas(strict: bool, data: st.DataObject) -> None:
    drawn = data.draw(schemas.structs())
    both = Both(drawn.node, strict)
    message = data.draw(drawn.values)
    encoded = both.encode(message)
    if encoded is not None:
        decoded = both.decode(encoded)
        if decoded is not None:
            both.encode(decoded, must=True)
        both.decode(encoded + b"\x00")
        both.decode(encoded[:-1])
        if encoded:
            index = data.draw(st.integers(0, len(encoded) - 1))
            byte = data.draw(st.integers(0, 255))
            both.decode(encoded[:index] + bytes([byte]) + encoded[index + 1 :])
    both.decode(data.draw(st.binary(max_size=24)))
