"""Both engines on the same messages, and where they differ."""

from __future__ import annotations

import contextlib
import math
import os
import signal
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

from construct import Compiled, ConstructError
from tests.protocol.conformance import reference
from tests.protocol.conformance.recording import Case, clone
from tests.protocol.conformance.reference import Verdict
from tests.protocol.conformance.surroundings import SURROUNDINGS, Surrounding

from iotsim.errors import DecodeError, EncodeError, IotsimError
from iotsim.protocol.codec import Codec
from iotsim.protocol.interpreted import normalize
from iotsim.protocol.tree import unnamed

MAX_DATAS = 3
MAX_VALUES = 3
SECONDS = 2
"""What one call of ours may take."""
MAX_HANGS = 2
"""After so many a construct is left."""
ODD_VALUES: tuple[Any, ...] = (None, -1, 2**70, 1.5, "text", b"\x00\x01", [], {})


MEANT = {
    "Numpy": "NumPy pickles what is no array; of containers, construct's own (and reads none of it)",
}
"""By class, why the bytes are others."""


class TooLongError(BaseException):
    """An engine does not come to an end."""


@dataclass(frozen=True)
class Disagreement:
    """A message on which the engines differ. ``kind`` is what is wrong with ours."""

    case: Case
    surrounding: str
    kind: str
    given: Any
    construct: str
    ours: str


@dataclass
class Tally:
    """What was compared."""

    constructs: set[int] = field(default_factory=set)
    schemas: int = 0
    comparisons: int = 0
    values: int = 0
    refusals: Counter[str] = field(default_factory=Counter)
    """Both refuse, or the law says so: by reason."""
    skipped: Counter[str] = field(default_factory=Counter)
    hangs: Counter[int] = field(default_factory=Counter)
    disagreements: list[Disagreement] = field(default_factory=list)


def reveal(value: Any) -> Any:
    """`value` for comparison: with its types, and what is lazy in it evaluated.

    Private names are left out: which of them a message has is not construct's to say.
    """
    if isinstance(value, Mapping):
        return {k: reveal(v) for k, v in value.items() if not str(k).startswith("_")}
    if isinstance(value, list):
        return [reveal(item) for item in value]
    if isinstance(value, float) and math.isnan(value):
        return "a NaN"
    if callable(value) and not isinstance(value, type):
        try:
            return "lazy", reveal(normalize(value()))
        except Exception as error:
            return "lazy", type(error).__name__
    return type(value), value


def same(one: Any, other: Any) -> bool:
    try:
        return bool(reveal(one) == reveal(other))
    except Exception:
        return repr(one) == repr(other)


def short(value: Any) -> str:
    text = value.hex(" ") if isinstance(value, bytes) else repr(value)
    return text if len(text) < 300 else text[:300] + "…"


@contextlib.contextmanager
def alarm() -> Iterator[None]:
    """In here a timer ends in TooLongError."""

    def stop(*_: Any) -> None:
        raise TooLongError

    before = signal.signal(signal.SIGALRM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGALRM, before)


def in_time(call: Callable[[Any], Any], given: Any) -> Any:
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        return call(given)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def mutations(data: bytes) -> list[bytes]:
    """`data`, and what a bad line makes of it."""
    places = dict.fromkeys((0, len(data) // 2, len(data) - 1)) if data else ()
    flipped = [data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :] for at in places]
    cut = [data[:-1], data[: len(data) // 2], b""]
    return [data, *cut, *flipped, data + b"\x00"]


def inputs(case: Case, surrounding: Surrounding) -> list[bytes]:
    datas = case.datas[:MAX_DATAS]
    found: list[bytes] = []
    for number, data in enumerate(datas):
        framed = surrounding.frame(case, data)
        found += mutations(framed)[: 4 if number else None]
    return list(dict.fromkeys(found or [b"", bytes(16)]))


def values(case: Case, surrounding: Surrounding, parsed: list[Verdict]) -> list[Any]:
    """Messages to be sent, good and bad."""
    good = [verdict.value for verdict in parsed if not verdict.refusal][:MAX_VALUES]
    given = [surrounding.wrap(case, value) for value in case.values[:MAX_VALUES]]
    odd = [surrounding.wrap(case, value) for value in ODD_VALUES]
    less = [{k: v for k, v in good[0].items() if k != name} for name in good[0]] if good else []
    return [value for value in [*good, *given, *less, *odd] if isinstance(value, Mapping)]


def reason(verdict: Verdict) -> str:
    """Why ours may refuse."""
    if verdict.refusal:
        return "construct refuses as well"
    if verdict.odd:
        return verdict.odd
    if verdict.swallowed:
        return f"an exception of a user's function, not to be swallowed ({min(verdict.swallowed)})"
    return "strict"


class Comparison:
    """One case in one surrounding."""

    def __init__(self, tally: Tally, case: Case, surrounding: Surrounding) -> None:
        self.tally = tally
        self.case = case
        self.surrounding = surrounding

    def differ(self, kind: str, given: Any, verdict: Verdict | str, ours: Any) -> None:
        if isinstance(verdict, Verdict):
            text = f"refuses: {verdict.refusal}" if verdict.refusal else short(verdict.value)
            if verdict.swallowed:
                text += f" (swallowed an exception of a {'/'.join(sorted(verdict.swallowed))})"
            if verdict.excused:
                text += f" ({verdict.excused}: {short(verdict.other)})"
        else:
            text = verdict
        found = Disagreement(self.case, self.surrounding.name, kind, given, text, short(ours))
        self.tally.disagreements.append(found)

    def run(self) -> None:
        try:
            schema = self.surrounding.schema(self.case)
            law = schema
            if isinstance(self.case.construct, Compiled):
                law = reference.uncompiled(self.surrounding.schema(self.case))
        except Exception:
            self.tally.skipped["construct refuses the schema"] += 1
            return
        with reference.observing():
            datas = inputs(self.case, self.surrounding)
            parsed = [reference.parse(law, data) for data in datas]
            again = reference.parse(law, datas[0])
            if again.refusal != parsed[0].refusal or not same(again.value, parsed[0].value):
                self.tally.skipped["construct itself gives another value the second time"] += 1
                return
            messages = values(self.case, self.surrounding, parsed)
            built = [reference.build(law, message) for message in messages]
            back = [None if v.refusal else self.round_trip(law, v) for v in parsed]
        codecs = []
        for strict in (False, True):
            try:
                codecs.append(Codec(schema, strict))
            except (IotsimError, ConstructError) as error:
                self.tally.refusals[f"at load: {error}"] += 1
                return
            except Exception as error:
                self.differ("load: crash", "", "a schema", f"{type(error).__name__}: {error}")
                return
        self.tally.schemas += 1
        self.tally.constructs.add(id(self.case.construct))
        lax, strict_codec = codecs
        for data, verdict, build in zip(datas, parsed, back, strict=True):
            found = self.compare("decode", lax.decode, data, verdict)
            self.compare("strict decode", strict_codec.decode, data, verdict)
            if found is not None and build is not None:
                self.compare("round trip", lax.encode, found, build)
        for message, verdict in zip(messages, built, strict=True):
            self.compare("encode", lax.encode, message, verdict)
            self.compare("strict encode", strict_codec.encode, message, verdict)

    def round_trip(self, schema: Any, parsed: Verdict) -> Verdict:
        """The verdict on a message that was parsed: on its raw value, or on the plain one."""
        verdict = reference.build(schema, parsed.raw)
        plain = reference.build(schema, parsed.value)
        if not plain.refusal and plain.value != verdict.value:
            verdict.excused = "construct builds the same of the plain value"
            verdict.other = plain.value
        return verdict

    def compare(self, kind: str, call: Callable[[Any], Any], given: Any, verdict: Verdict) -> Any:
        """Our value, if both have the same."""
        if verdict.deep:
            self.tally.skipped["construct runs out of stack"] += 1
            return None
        self.tally.comparisons += 1
        given_before = clone(given)
        strict = kind.startswith("strict")
        try:
            ours = in_time(call, given)
        except (DecodeError, EncodeError) as error:
            odd = verdict.odd and kind != "round trip"
            if verdict.refusal or strict or verdict.swallowed or odd:
                self.tally.refusals[reason(verdict)] += 1
            else:
                self.differ(f"{kind}: refused", given_before, verdict, f"refuses: {error}")
            return None
        except TooLongError:
            self.differ(f"{kind}: hangs", given_before, verdict, "does not end")
            self.tally.hangs[id(self.case.construct)] += 1
            raise
        except Exception as error:
            self.differ(f"{kind}: crash", given_before, verdict, f"{type(error).__name__}: {error}")
            return None
        if not isinstance(given, bytes) and not same(given, given_before):
            self.differ(f"{kind}: changes the message", given_before, verdict, given)
            return None
        if verdict.excused and same(ours, verdict.other):
            self.tally.refusals[verdict.excused] += 1
            return None
        if verdict.refusal:
            self.differ(f"{kind}: accepted", given_before, verdict, ours)
            return None
        if "user" in verdict.swallowed:
            self.differ(f"{kind}: swallowed", given_before, verdict, ours)
            return None
        meant = MEANT.get(type(unnamed(self.case.construct)).__name__)
        if meant and kind.endswith("encode") and not same(ours, verdict.value):
            self.tally.refusals[meant] += 1
            return None
        if not same(ours, verdict.value):
            self.differ(f"{kind}: other", given_before, verdict, ours)
            return None
        self.tally.values += 1
        return ours


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """What constructs print goes nowhere, their debugger does not wait, and gzip's clock stands still."""
    with (
        Path(os.devnull).open("w") as nowhere,
        contextlib.redirect_stdout(nowhere),
        warnings.catch_warnings(),
        mock.patch("pdb.post_mortem"),
        mock.patch("gzip.time", mock.Mock(time=lambda: 0)),
    ):
        warnings.simplefilter("ignore")
        yield


def compare_all(pairs: Iterable[tuple[Case, Surrounding]], tally: Tally) -> None:
    with alarm():
        for case, surrounding in pairs:
            if tally.hangs[id(case.construct)] >= MAX_HANGS:
                tally.skipped["ours hangs in other surroundings"] += 1
                continue
            with contextlib.suppress(TooLongError):
                Comparison(tally, case, surrounding).run()


__all__ = ["SURROUNDINGS", "Comparison", "Disagreement", "Tally", "compare_all", "silence"]
