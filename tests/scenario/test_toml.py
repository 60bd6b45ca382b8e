from __future__ import annotations

import os
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iotsim.scenario.toml import TomlError, path_text, read_toml

TEXT = """\
# a comment with [brackets
[scenario]
name = "x"  # y

  [ link ]
kind = "tun"

[devices.meter]
address = ["10.77.1.1",
   "fd77::1:1"]

[[devices.meter.rules]]
when = { kind = "READ", header.seq = 3 }

[[devices.meter.rules]]
reply.kind = "REPORT"
reply.value = 1

[empty]
[a."b c".d]
key_line = 1
"""


@pytest.mark.parametrize(
    ("keys", "place"),
    [
        (("scenario", "name"), (3, 8)),
        (("scenario",), (2, 1)),
        (("link",), (5, 3)),
        (("scenario", "missing"), (2, 1)),
        (("devices",), (9, 1)),
        (("devices", "meter"), (8, 1)),
        (("devices", "meter", "address"), (9, 11)),
        (("devices", "meter", "address", 1), (10, 4)),
        (("devices", "meter", "rules", 0), (12, 1)),
        (("devices", "meter", "rules", 1), (15, 1)),
        (("devices", "meter", "rules", 0, "when"), (13, 8)),
        (("devices", "meter", "rules", 0, "when", "header", "seq"), (13, 38)),
        (("devices", "meter", "rules", 1, "reply"), (16, 7)),
        (("devices", "meter", "rules", 1, "reply", "value"), (17, 15)),
        (("empty",), (19, 1)),
        (("a", "b c", "d"), (20, 1)),
        (("a", "b c", "d", "key_line"), (21, 12)),
        ((), (0, 0)),
        (("nothing", "at", "all"), (0, 0)),
    ],
)
def test_places(keys: tuple[str | int, ...], place: tuple[int, int]) -> None:
    assert read_toml(TEXT).place(keys) == place


def test_places_of_keys() -> None:
    document = read_toml(TEXT)
    assert document.place(("scenario", "name"), of_key=True) == (3, 1)
    assert document.place(("devices", "meter", "address"), of_key=True) == (9, 1)


def test_values() -> None:
    assert read_toml(TEXT).value["devices"]["meter"]["rules"][1] == {
        "reply": {"kind": "REPORT", "value": 1}
    }


@pytest.mark.parametrize(
    ("text", "said", "line"),
    [
        ("a = ", "string values must be quoted", 1),
        ("a=1\na=2", "duplicate key", 2),
        ("x = [1,\n2,,]", "extra comma in array", 2),
        ("\n\na = " + "[" * 50 + "]" * 50, "nested more than", 3),
        ("a=" + "{a=" * 20_000 + "1" + "}" * 20_000, "nested more than", 1),
        (".".join("a" * 20_000) + "=1", "nested more than", 1),
        ("[" + ".".join("a" * 20_000) + "]", "nested more than", 1),
        (
            "a = { b = 1,\n c = 2 }",
            r"inline table|newline",
            1,
        ),  # TOML 1.0: an inline table is one line
        ("x" * (5 << 20), "longer than", 0),
    ],
)
def test_what_is_not_toml(text: str, said: str, line: int) -> None:
    with pytest.raises(TomlError, match=said) as caught:
        read_toml(text)
    assert caught.value.place.line == line


def test_brackets_and_dots_in_texts_do_not_count() -> None:
    text = 'a = "' + "[." * 100 + "\"\nb = '" + "{" * 100 + '\'\nc = """\n' + "[[\n" * 90 + '"""'
    assert read_toml(text).value["b"] == "{" * 100
    assert len(read_toml("a = [" + "1.5, " * 1000 + "]").value["a"]) == 1000


def test_paths() -> None:
    assert path_text(("devices", "meter", "rules", 0, "when")) == "devices.meter.rules[0].when"
    assert path_text(("a b", "c")) == "'a b'.c"


@settings(max_examples=100)
@given(st.text(alphabet="ab[]{}=.,\"'#\n 1\\é", max_size=80) | st.text(max_size=80))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        document = read_toml(text)
    except TomlError as error:
        assert str(error)  # noqa: PT017
        return
    for key in document.value:
        assert document.place((key,)).line > 0


def test_the_parser_leaves_the_environment_alone() -> None:
    code = (
        "import os\n"
        "there = dict(os.environ)\n"
        "import iotsim.scenario.toml\n"
        "assert os.environ == there, 'a gateway would be given more than the user has set'"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    environment = {**os.environ, "MIMALLOC_ARENA_EAGER_COMMIT": "1"}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
