"""Every bundled protocol and those of the documentation: tshark shows what the codec decodes."""

from pathlib import Path
from random import Random

import pytest
from tests.protocol.law.fuzz import mutated_bytes
from tests.protocol.wireshark.shown import Sent, differences

from iotsim.protocol.registry import LoadedProtocol, is_bundled, list_protocols, load_protocol
from iotsim.protocol.wireshark import dissector

pytestmark = pytest.mark.needs("tshark")

PORTED = Path(__file__).parents[2] / "protocols" / "ported"
NAMES = [name for name, path in list_protocols() if path is not None and is_bundled(path)]
OTHERS = sorted(path.stem for path in PORTED.glob("*.py"))
MUTATIONS = 20


@pytest.fixture(params=[*NAMES, *(f"ported/{name}" for name in OTHERS)])
def loaded(request: pytest.FixtureRequest) -> LoadedProtocol:
    name = request.param.removeprefix("ported/")
    return load_protocol(name, [PORTED] if name != request.param else [])


def test_golden_vectors_and_mutations(loaded: LoadedProtocol, tmp_path: Path) -> None:
    rng = Random(loaded.protocol.name)
    sent = []
    for vector in loaded.vectors:
        mutations = [mutated_bytes(rng, vector.data) for _ in range(MUTATIONS)]
        sent += [Sent(data, vector.answer, vector.device) for data in (vector.data, *mutations)]
    found, count = differences(loaded.protocol, tmp_path, [one for one in sent if one.data])
    assert found == []
    assert count >= len(loaded.vectors) or dissector(loaded.protocol).missing
