"""Every bundled protocol and those of the documentation: tshark shows what the codec decodes."""

from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from tests.protocol.law.fuzz import mutated_bytes
from tests.protocol.wireshark.shown import Case, Sent, Shown, differences, tshark

from iotsim.protocol.registry import is_bundled, list_protocols, load_protocol
from iotsim.protocol.wireshark import dissector

pytestmark = pytest.mark.needs("tshark")

PORTED = Path(__file__).parents[2] / "protocols" / "ported"
NAMES = [name for name, path in list_protocols() if path is not None and is_bundled(path)]
OTHERS = sorted(path.stem for path in PORTED.glob("*.py"))
MUTATIONS = 20


KEYS = [*NAMES, *(f"ported/{name}" for name in OTHERS)]
Done = dict[str, tuple[Case, list[Shown]]]


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Done:
    """All golden vectors and mutations of them, and what tshark shows of these, by protocol."""
    cases = {key: case_of(key) for key in KEYS}
    shown = tshark(tmp_path_factory.mktemp("tshark"), list(cases.values()))
    return {key: (cases[key], shown) for key, shown in zip(KEYS, shown, strict=True)}


def case_of(key: str) -> Case:
    name = key.removeprefix("ported/")
    loaded = load_protocol(name, [PORTED] if name != key else [])
    rng = Random(loaded.protocol.name)
    sent = []
    for vector in loaded.vectors:
        mutations = [mutated_bytes(rng, vector.data) for _ in range(MUTATIONS)]
        sent += [Sent(data, vector.answer, vector.device) for data in (vector.data, *mutations)]
    protocol = replace(loaded.protocol, name=key.replace("/", "-"))  # some are bundled, too
    return Case(protocol, [one for one in sent if one.data])


@pytest.mark.parametrize("key", KEYS)
def test_golden_vectors_and_mutations(done: Done, key: str) -> None:
    case, shown = done[key]
    found, count = differences(case, shown)
    assert found == []
    assert count * (MUTATIONS + 1) >= len(case.datagrams) or dissector(case.protocol).missing
