"""Every bundled protocol and those of the documentation: tshark shows what the codec decodes."""

from pathlib import Path
from random import Random

import pytest
from tests.protocol.law.fuzz import mutated_bytes
from tests.protocol.wireshark.shown import Sent, differences

from iotsim.protocol.registry import LoadedProtocol, is_bundled, list_protocols, load_protocol

pytestmark = pytest.mark.needs("tshark")

PORTED = Path(__file__).parents[2] / "protocols" / "ported"
NAMES = [name for name, path in list_protocols() if path is not None and is_bundled(path)]
OTHERS = sorted(path.stem for path in PORTED.glob("*.py"))
MUTATIONS = 20


@pytest.fixture(params=[*NAMES, *(f"ported/{name}" for name in OTHERS)])
def loaded(request: pytest.FixtureRequest) -> LoadedProtocol:
    name = request.param.removeprefix("ported/")
    return load_protocol(name, [PORTED] if name != request.param else [])


def test_the_golden_vectors(loaded: LoadedProtocol, tmp_path: Path) -> None:
    sent = [Sent(vector.data, vector.answer, vector.device) for vector in loaded.vectors]
    found, count = differences(loaded.protocol, tmp_path, sent)
    assert found == []
    assert count >= len(sent)


def test_what_is_wrong(loaded: LoadedProtocol, tmp_path: Path) -> None:
    rng = Random(loaded.protocol.name)
    sent = [
        Sent(data, vector.answer, vector.device)
        for vector in loaded.vectors
        for data in (mutated_bytes(rng, vector.data) for _ in range(MUTATIONS))
        if data
    ]
    assert differences(loaded.protocol, tmp_path, sent)[0] == []
