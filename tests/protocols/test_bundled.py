"""What holds for every protocol that comes with iotsim."""

from pathlib import Path

import pytest

from iotsim.protocol.examine import check
from iotsim.protocol.registry import LoadedProtocol, is_bundled, list_protocols, load_protocol

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


def test_it_is_described(loaded: LoadedProtocol) -> None:
    assert loaded.protocol.description
    for vector in loaded.vectors:
        assert loaded.protocol.summarize(vector.fields)
