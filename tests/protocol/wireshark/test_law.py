"""Random schemas: tshark shows what the codec decodes, and refuses what it refuses."""

from itertools import count, islice
from pathlib import Path
from random import Random

import pytest
from tests.protocol.law.fuzz import mutated_bytes
from tests.protocol.law.generator import draw
from tests.protocol.law.nodes import top
from tests.protocol.law.source import load
from tests.protocol.wireshark.shown import Case, Sent, differences, tshark

from iotsim import Protocol
from iotsim.errors import EncodeError, ProtocolError

pytestmark = pytest.mark.needs("tshark")

SCHEMAS = 40
MESSAGES = 6


def test_random_schemas(tmp_path: Path) -> None:
    cases = list(islice(filter(None, map(_drawn, count(1))), SCHEMAS))
    found: list[str] = []
    compared = 0
    for case, shown in zip(cases, tshark(tmp_path, cases), strict=True):
        wrong, number = differences(case, shown)
        found += wrong
        compared += number
    assert found == []
    assert compared > 3 * SCHEMAS


def _drawn(number: int) -> Case | None:
    """A random protocol, and messages of it, of which some are broken; None if it has none."""
    rng = Random(number)
    node = draw(rng)
    try:
        protocol = Protocol(name=f"law{number}", message=load(node.source), port=4711)
        codec = protocol.codec
    except Exception:  # a schema that no protocol may have
        return None
    sent: list[Sent] = []
    for _ in range(MESSAGES):
        try:
            data = codec.encode(node.make(rng, top()))
        except (EncodeError, ProtocolError, LookupError, TypeError, ValueError, AttributeError):
            continue
        sent += [Sent(one) for one in (data, mutated_bytes(rng, data)) if one]
    return Case(protocol, sent) if sent else None
