"""`agree`: one schema, written by hand, through the codec and the law's oracle."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from tests.protocol.law.native import same
from tests.protocol.law.oracle import REFUSED, Oracle
from tests.protocol.law.source import load

from iotsim.errors import DecodeError, EncodeError
from iotsim.protocol.codec import Codec

Given = bytes | Mapping[str, Any]


class Law:
    """A schema, as source, in the codec and in the oracle; `functions` are what it may use besides."""

    def __init__(
        self, source: str, strict: bool, functions: Mapping[str, Any] | None = None
    ) -> None:
        functions = functions or {}
        self.codec = Codec(load(source, functions), strict)
        self.oracle = Oracle(lambda names: load(source, {**functions, **names}), strict)

    def decode(self, data: bytes, *, again: bool = True) -> Any:
        """The message, on which both agree, or REFUSED.

        ``again``: encoding it gives what construct builds of what it has parsed. Only what functions see
        of private members may be lost.
        """
        expected = self.oracle.decode(data)
        try:
            found: Any = self.codec.decode(data)
        except DecodeError:
            found = REFUSED
        assert same(found, expected), f"{data!r}: the law gives {expected!r}, the codec {found!r}"
        if again and found is not REFUSED:
            built = self.oracle.build(self.oracle.parse(data))
            assert same(self.encode(found), built), found
        return found

    def encode(self, message: Mapping[str, Any]) -> Any:
        """The bytes, on which both agree, or REFUSED."""
        expected = self.oracle.encodings(message)[0]
        before = copy.deepcopy(message)
        try:
            found: Any = self.codec.encode(message)
        except EncodeError:
            found = REFUSED
        assert same(message, before), "encoding changed the message"
        assert same(found, expected), (
            f"{message!r}: the law gives {expected!r}, the codec {found!r}"
        )
        return found


def agree(source: str, good: list[Given], bad: list[Given] | None = None, **functions: Any) -> None:
    """Both take what is `good`, bytes and messages, and refuse what is `bad`, strict and lax.

    What is good is the same after a journey: messages decode to more at most, bytes are encoded again.
    """
    for strict in (False, True):
        law = Law(source, strict, functions)
        for given in good:
            if isinstance(given, bytes):
                data = given
                message = law.decode(data)
                assert message is not REFUSED, given
                assert law.encode(message) == data
            else:
                data = law.encode(given)
                assert data is not REFUSED, given
                message = law.decode(data)
                assert message is not REFUSED, (given, data)
                assert law.encode(message) == data, message
            for end in range(len(data)):
                law.decode(data[:end])
        for given in bad or []:
            side = law.decode if isinstance(given, bytes) else law.encode
            assert side(given) is REFUSED, given  # type: ignore[operator]
