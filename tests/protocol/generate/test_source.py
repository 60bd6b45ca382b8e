import enum
import math

import pytest

from iotsim.protocol.generate.source import UnsupportedError, Writer, literal


def test_names_are_identifiers_and_not_taken() -> None:
    writer = Writer()
    names = [writer.new(hint) for hint in ("a", "a", "A-b", "class", "len", "2x", "", "data")]
    assert names == ["a", "a_2", "a_b", "v_class", "v_len", "v_2x", "value", "v_data"]


def test_names_of_a_branch_are_free_again() -> None:
    writer = Writer()
    with writer.names():
        assert writer.new("a") == "a"
    assert writer.new("a") == "a"


def test_an_object_has_one_global_name() -> None:
    writer = Writer()
    table = {1: 2}
    assert writer.bind("names", table) == writer.bind("names", table) == "NAMES_1"
    assert writer.bind("names", {3: 4}) == "NAMES_2"
    assert writer.bind("other", table) == "OTHER_1"
    assert writer.new("NAMES_1") == "names_1"
    assert Writer(reserved=["pack"]).new("pack") == "v_pack"


def test_blocks() -> None:
    writer = Writer()
    with writer.block("if a:"):
        writer.line("b")
        with writer.block("else:"):
            pass
    assert writer.lines == ["if a:", "    b", "    else:", "        pass"]


class Number(enum.IntEnum):
    ONE = 1


def test_literals() -> None:
    assert literal(Number.ONE).source == "1"
    assert literal(b"x").source == "b'x'"
    assert literal(None).known
    for odd in (math.inf, math.nan, [], object()):
        with pytest.raises(UnsupportedError):
            literal(odd)
