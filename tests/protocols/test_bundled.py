"""What holds for every protocol that comes with iotsim."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from iotsim.protocol.dissection import dissect
from iotsim.protocol.examine import check
from iotsim.protocol.registry import LoadedProtocol, is_bundled, list_protocols, load_protocol
from iotsim.protocol.values import is_plain

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAMES = [name for name, path in list_protocols() if path is not None and is_bundled(path)]


@pytest.fixture(params=NAMES)
def loaded(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> LoadedProtocol:
    monkeypatch.chdir(tmp_path)
    return load_protocol(request.param)


def test_its_file_is_right(loaded: LoadedProtocol) -> None:
    assert check(loaded) == []


LEFT = {"miio": {"(message)": "kind: a function of the context"}, "tplink": {"payload": "Wrapped"}}
"""What is left to construct, and why."""


def test_nothing_else_is_left_to_construct(loaded: LoadedProtocol) -> None:
    assert loaded.protocol.codec.fallbacks == LEFT.get(loaded.protocol.name, {})


def test_plain_construct_speaks_it_too(loaded: LoadedProtocol) -> None:
    for vector in loaded.vectors:
        device, protocol = vector.device, loaded.protocol
        message, codec = protocol.message, protocol.codec
        if vector.answer and protocol.answer is not None:
            message, codec = protocol.answer, protocol.answer_codec
        parsed = message.parse(vector.data, device=device)
        assert parsed == codec.decode(vector.data, device)
        if not vector.decodes_only:
            built = message.build(dict(vector.fields), device=device)
            assert built == vector.data


def test_its_messages_are_plain(loaded: LoadedProtocol) -> None:
    for vector in loaded.vectors:
        protocol = loaded.protocol
        codec = protocol.answer_codec if vector.answer else protocol.codec
        assert is_plain(codec.decode(vector.data, vector.device))


def test_it_is_described(loaded: LoadedProtocol) -> None:
    assert loaded.protocol.description
    for vector in loaded.vectors:
        assert loaded.protocol.summarize(vector.fields)


def test_each_field_is_shown_where_it_is(loaded: LoadedProtocol) -> None:
    """Rows do not overlap, all bytes are in one, and what they show is what is decoded."""
    for vector in loaded.vectors:
        found = dissect(loaded.protocol, vector.data, answer=vector.answer, device=vector.device)
        assert found.error is None
        rows = [row for row in found.rows if row.size and not row.nested]
        for row, after in pairwise(rows):
            assert row.offset + row.size == after.offset
        assert sum(row.size for row in rows) == 8 * len(vector.data)
        leaves = dict(_leaves(found.message))
        for row in found.rows:
            if row.path in leaves:
                assert row.value == leaves[row.path], row.path


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for name, inner in items:
            yield from _leaves(inner, f"{path}.{name}" if path else str(name))
    if path:
        yield path, value
