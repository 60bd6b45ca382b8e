"""The decoders of the bundled protocols. The first byte of an input chooses the protocol.

What they take for a message is encoded again, and must be understood again, to the same effect.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from driver import fuzz, instrumented

with instrumented():
    from iotsim.errors import DecodeError, EncodeError
    from iotsim.protocol.registry import list_protocols, load_protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER = Path(__file__).parents[2] / "protocols"
LOADED = [load_protocol(name, [FOLDER]) for name, _ in list_protocols([FOLDER])]


def target(data: bytes) -> None:
    if not data:
        return
    loaded = LOADED[data[0] % len(LOADED)]
    codec, device = loaded.protocol.codec, loaded.vectors[-1].device
    try:
        message = codec.decode(data[1:], device)
    except DecodeError:
        return
    loaded.protocol.summarize(message)
    try:
        again = codec.encode(message, device)
    except EncodeError:
        return  # Decoders are more generous.
    codec.decode(again, device)


def seeds() -> Iterator[bytes]:
    for number, loaded in enumerate(LOADED):
        yield bytes([number])
        for vector in loaded.vectors:
            yield bytes([number]) + vector.data


if __name__ == "__main__":
    fuzz(target)
