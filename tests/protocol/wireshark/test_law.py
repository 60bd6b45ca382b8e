"""Random schemas: tshark shows what the codec decodes, and refuses what it refuses."""

from pathlib import Path
from random import Random

import pytest
from tests.protocol.law.fuzz import mutated_bytes
from tests.protocol.law.generator import draw
from tests.protocol.law.nodes import top
from tests.protocol.law.source import load
from tests.protocol.wireshark.shown import Sent, differences

from iotsim import Protocol
from iotsim.errors import EncodeError, ProtocolError

pytestmark = pytest.mark.needs("tshark")

SCHEMAS = 12
MESSAGES = 6


@pytest.mark.parametrize("seed", range(3))
def test_random_schemas(seed: int, tmp_path: Path) -> None:
    found: list[str] = []
    done = compared = 0
    number = 1000 * seed
    while done < SCHEMAS:
        number += 1
        protocol, sent = _drawn(number)
        if protocol is None or not sent:
            continue
        wrong, count = differences(protocol, tmp_path, sent)
        found += [f"{number}: {one}" for one in wrong]
        done += 1
        compared += count
    assert found == []
    assert compared > SCHEMAS


def _drawn(number: int) -> tuple[Protocol | None, list[Sent]]:
    """A random protocol, and messages of it, of which some are broken."""
    rng = Random(number)
    node = draw(rng)
    try:
        protocol = Protocol(name=f"law{number}", message=load(node.source), port=4711)
        codec = protocol.codec
    except Exception:  # a schema that no protocol may have
        return None, []
    sent: list[Sent] = []
    for _ in range(MESSAGES):
        try:
            data = codec.encode(node.make(rng, top()))
        except (EncodeError, ProtocolError, LookupError, TypeError, ValueError, AttributeError):
            continue
        sent += [Sent(one) for one in (data, mutated_bytes(rng, data)) if one]
    return protocol, sent
