"""Random schemas through the codec and through construct: ``python -m tests.protocol.law.fuzz --seed 1``.

For each schema, strict and lax: messages that mostly fit it are encoded, their bytes and mutations of
these decoded, what was decoded is encoded again and so are mutations of it. Each is one comparison
with the law (`oracle`). Where the two differ, the smallest schema that still differs is printed.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import signal
import sys
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from random import Random
from typing import TYPE_CHECKING, Any

from tests.protocol.law.generator import draw
from tests.protocol.law.native import same
from tests.protocol.law.nodes import Node, top
from tests.protocol.law.oracle import REFUSED, Oracle
from tests.protocol.law.source import load

from iotsim.errors import DecodeError, EncodeError, ProtocolError
from iotsim.protocol.codec import Codec
from iotsim.protocol.fields import Schema

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SECONDS = 30
"""How long one schema's comparisons may take before it counts as never ending."""

MESSAGES = 4


class NeverEndingError(BaseException):
    pass


@contextlib.contextmanager
def limited(seconds: float) -> Iterator[None]:
    """Raise NeverEndingError in what takes more of the processor's time."""

    def stop(*_: Any) -> None:
        raise NeverEndingError

    before = signal.signal(signal.SIGPROF, stop)
    # Again and again: what is raised while garbage is collected comes to nothing.
    signal.setitimer(signal.ITIMER_PROF, seconds, 1)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


@dataclass
class Difference:
    """A comparison that failed."""

    source: str
    strict: bool
    what: str
    given: Any
    expected: Any
    found: Any

    def __str__(self) -> str:
        """As source that shows it again (`Law`)."""
        side = "decode" if isinstance(self.given, bytes) else "encode"
        return (
            f"{self.what}\n"
            f"  Law({self.source!r}, strict={self.strict}).{side}({self.given!r})\n"
            f"  the law gives   {self.expected!r}\n"
            f"  the codec gives {self.found!r}"
        )

    @property
    def kind(self) -> str:
        """What differs, in a few words."""
        sides = (self.expected, self.found)
        words = ["refuses" if side is REFUSED else "gives" for side in sides]
        if isinstance(self.found, BaseException):
            words[1] = type(self.found).__name__
        return f"{self.what}: the law {words[0]}, the codec {words[1]}"


@dataclass
class Tally:
    schemas: int = 0
    unusable: int = 0
    """Schemas that construct itself refuses to make."""
    refused: int = 0
    """Schemas that are refused when they are loaded."""
    comparisons: int = 0
    accepted: int = 0
    """Comparisons in which there was a value, not a refusal on both sides."""
    ambiguous: int = 0
    """Encodings in which what a function sees decides, and both views are accepted."""
    differences: list[Difference] = field(default_factory=list)


def mutated_bytes(rng: Random, data: bytes) -> bytes:
    style = rng.randint(0, 4)
    if style == 0:
        return data[: rng.randint(0, len(data))]
    if style == 1:
        return data + rng.randbytes(rng.randint(1, 3))
    where = rng.randint(0, max(len(data) - 1, 0))
    byte = bytes([rng.choice([0, 1, 2, 3, 7, 255, rng.randint(0, 255)])])
    if style == 2:
        return data[:where] + byte + data[where:]
    if style == 3:
        return data[:where] + data[where + 1 :]
    return data[:where] + byte + data[where + 1 :]


ODD = [None, 0, 1, 2, 3, -1, 255, 256, 2**40, True, 1.5, "", "a", "RED", b"", b"ab", [], [1], {}]


def mutated(rng: Random, value: Any) -> Any:
    """The value, with one thing changed somewhere."""
    if isinstance(value, dict) and rng.random() < 0.9:
        if not value or (rng.random() < 0.1 and "data" not in value):
            return {**value, rng.choice(["nonesuch", "_private", "f1", "f2"]): rng.choice(ODD)}
        name = rng.choice(list(value))
        if rng.random() < 0.25:
            return {k: v for k, v in value.items() if k != name}
        return {**value, name: mutated(rng, value[name])}
    if isinstance(value, list) and rng.random() < 0.8:
        if not value or rng.random() < 0.2:
            return [*value, rng.choice([*value, *ODD])]
        where = rng.randrange(len(value))
        if rng.random() < 0.2:
            return value[:where] + value[where + 1 :]
        return [*value[:where], mutated(rng, value[where]), *value[where + 1 :]]
    return rng.choice(ODD)


class Comparison:
    """One schema in one mode."""

    def __init__(self, source: str, strict: bool, tally: Tally) -> None:
        self.source = source
        self.strict = strict
        self.tally = tally
        self.oracle = Oracle(lambda names: load(source, names), strict)
        self.codec = Codec(load(source), strict)

    def differs(self, what: str, given: Any, expected: Any, found: Any) -> None:
        self.tally.differences.append(
            Difference(self.source, self.strict, what, given, expected, found)
        )

    def decode(self, data: bytes) -> Any:
        """The law's message."""
        self.tally.comparisons += 1
        expected = self.oracle.decode(data)
        try:
            found: Any = self.codec.decode(data)
        except DecodeError:
            found = REFUSED
        except Exception as error:
            found = error
        if not same(found, expected):
            self.differs("decode", data, expected, found)
        elif found is not REFUSED:
            self.tally.accepted += 1
        return expected

    def encode(self, message: Any, accepted: list[Any], what: str = "encode") -> Any:
        """The law's bytes."""
        self.tally.comparisons += 1
        before = copy.deepcopy(message)
        try:
            found: Any = self.codec.encode(message)
        except EncodeError:
            found = REFUSED
        except Exception as error:
            found = error
        if not same(message, before):
            self.differs("encoding changes the message", before, before, message)
        if any(other != accepted[0] for other in accepted):
            self.tally.ambiguous += 1
        if not any(same(found, one) for one in accepted):
            self.differs(what, message, accepted[0], found)
        elif found is not REFUSED:
            self.tally.accepted += 1
            self.tell(message, found)
        return accepted[0]

    def tell(self, message: Any, data: bytes) -> None:
        """What is told of a message that is sent is what decoding its bytes gives."""
        try:
            expected: Any = data, self.codec.decode(data)
        except DecodeError:
            return
        found = self.codec.tell(message)
        if not same(list(found), list(expected)):
            self.differs("tell", message, expected, found)

    def again(self, data: bytes, message: Any) -> None:
        """What was decoded is encoded, to what construct builds of what it has parsed itself.

        Unless what a message does not show, private members and tuples, has made a function see others.
        """
        built = self.oracle.build(self.oracle.parse(data))
        others = self.oracle.encodings(message)
        refusals = others[3:]
        accepted = [built, *(refusals if same(built, others[0]) else others)]
        self.encode(message, accepted, "encode of what was decoded")

    def run(self, node: Node, rng: Random) -> None:
        inputs = [rng.randbytes(rng.randint(0, 12)) for _ in range(2)]
        for _ in range(MESSAGES):
            try:
                message = node.make(rng, top())
            except Exception:
                continue
            if not isinstance(message, dict):
                continue
            data = self.encode(message, self.oracle.encodings(message))
            other = mutated(rng, message)
            if isinstance(other, dict):
                self.encode(other, self.oracle.encodings(other))
            if data is not REFUSED:
                inputs += [data, mutated_bytes(rng, data), mutated_bytes(rng, data)]
        for data in inputs:
            decoded = self.decode(data)
            if decoded is not REFUSED:
                self.again(data, decoded)
                other = mutated(rng, decoded)
                if isinstance(other, dict):
                    self.encode(other, self.oracle.encodings(other))


def compare(node: Node, seed: int, tally: Tally) -> None:
    """All comparisons of one schema."""
    source = node.source
    tally.schemas += 1
    try:
        message = load(source)
    except Exception:
        tally.unusable += 1
        return
    for strict in (False, True):
        try:
            with limited(SECONDS):
                Schema(message)
                comparison = Comparison(source, strict, tally)
                comparison.run(node, Random(f"{seed} {strict}"))
        except ProtocolError:
            tally.refused += 1
            return
        except NeverEndingError:
            tally.differences.append(Difference(source, strict, "never ends", None, None, None))
        except Exception as error:
            tally.differences.append(Difference(source, strict, "load", None, None, error))


def first_difference(node: Node, seed: int, kind: str) -> Difference | None:
    """A difference of this kind in a schema."""
    for again in range(3):
        tally = Tally()
        compare(node, seed + again, tally)
        for difference in tally.differences:
            if difference.kind == kind:
                return difference
    return None


def smaller(node: Node) -> Iterator[Node]:
    """The schema with one thing less."""
    if node.many:
        for index in range(len(node.parts)):
            yield replace(node, parts=node.parts[:index] + node.parts[index + 1 :])
    for index, part in enumerate(node.parts):
        yield replace(part, name=node.name)
        if part.parts or part.form != "Int8ub":
            simple = Node("Int8ub", value=lambda n, rng, s: rng.randint(0, 3), name=part.name)
            yield from _with(node, index, [simple])
        yield from _with(node, index, smaller(part))


def rightly_named(node: Node) -> bool:
    """Whether private members still need a value where their name says so, and only there."""
    name = node.name or ""
    right = (
        node.needless if name.startswith("_c") else not (name.startswith("_r") and node.needless)
    )
    return right and all(map(rightly_named, node.parts))


def _with(node: Node, index: int, parts: Any) -> Iterator[Node]:
    for part in parts:
        yield replace(node, parts=(*node.parts[:index], part, *node.parts[index + 1 :]))


def shrink(node: Node, seed: int, difference: Difference, seconds: float = 10) -> Difference:
    """The same difference in the smallest schema that is found in that time."""
    end = time.monotonic() + seconds
    found = True
    while found:
        found = False
        for candidate in smaller(node):
            if time.monotonic() > end:
                return difference
            if len(candidate.source) >= len(node.source) or not rightly_named(candidate):
                continue
            other = first_difference(candidate, seed, difference.kind)
            if other is not None:
                node, difference, found = candidate, other, True
                break
    return difference


def fuzz(seed: int, count: int, report: Callable[[Node, int, Difference], None]) -> Tally:
    """At least `count` comparisons; each schema that differs is reported once."""
    tally = Tally()
    index = 0
    while tally.comparisons < count:
        number = seed * 1_000_000 + index
        index += 1
        node = draw(Random(number))
        before = len(tally.differences)
        compare(node, number, tally)
        if len(tally.differences) > before:
            report(node, number, tally.differences[before])
    return tally


def main() -> int:
    parser = argparse.ArgumentParser(description="Compare the codec with construct.")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=20_000, help="comparisons (default: 20000)")
    parser.add_argument("--show", type=int, default=10, help="differences to shrink and print")
    arguments = parser.parse_args()
    kinds: Counter[str] = Counter()
    shown = 0

    def report(node: Node, number: int, difference: Difference) -> None:
        nonlocal shown
        kinds[difference.kind] += 1
        if shown < arguments.show:
            shown += 1
            print(f"--- schema {number}: {shrink(node, number, difference)}", flush=True)

    tally = fuzz(arguments.seed, arguments.count, report)
    print(
        f"{tally.comparisons} comparisons of {tally.schemas} schemas: "
        f"{tally.comparisons - len(tally.differences)} agree ({tally.accepted} with a value), "
        f"{len(tally.differences)} differ, in {sum(kinds.values())} schemas; "
        f"{tally.unusable} schemas construct refuses, {tally.refused} are refused when loaded; "
        f"{tally.ambiguous} ambiguous"
    )
    for kind, number in kinds.most_common():
        print(f"{number:6} {kind}")
    return 1 if tally.differences else 0


if __name__ == "__main__":
    sys.exit(main())
