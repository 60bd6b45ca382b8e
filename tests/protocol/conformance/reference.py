"""construct's verdict on a message, with the few places in which the law is not construct's own.

What ``compile()`` gives is taken for what it was called on: construct's compiled code leaves out checks,
of lengths above all. Select, Optional, GreedyRange and Peek take any exception for "this does not match":
where such a one came out of a user's function, `Verdict.swallowed` says so, and ours must refuse. A loop
that would never end is ended after `MAX_STEPS` steps.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import construct.core
import construct.debug
import construct.expr
from construct import (
    Adapter,
    Compiled,
    Construct,
    ConstructError,
    Container,
    IfThenElse,
    NamedTuple,
    Renamed,
    Struct,
    Switch,
)
from construct.core import evaluate
from tests.protocol.conformance import archive, recording

from iotsim.protocol import flat, verified
from iotsim.protocol.interpreted import normalize
from iotsim.protocol.tree import unnamed

MAX_STEPS = 20_000
"""Steps of one parse or build, each a construct's; no case of the suite has half as many."""
USER_FOLDERS = (str(archive.TESTS), str(Path(__file__).with_name("cases.py")))


class EndlessError(BaseException):
    """construct would go on for ever, or for too long. No construct catches it."""


@dataclass
class Verdict:
    """What construct does: a value, or a refusal with its reason.

    ``swallowed``  where an exception came from that is none of construct's, and was taken for "does not
                   match": "user", a user's function; "expression"; "decline", out of an adapter that
                   was to encode a value that may be meant for another alternative, or for want of a value
    ``odd``        why the law refuses what construct happens to take
    ``excused``    why the law allows that ours gives ``other``
    """

    value: Any = None
    raw: Any = None
    refusal: str = ""
    endless: bool = False
    deep: bool = False
    swallowed: set[str] = field(default_factory=set)
    odd: str = ""
    excused: str = ""
    other: Any = None


class Observer:
    """Sees all steps of one parse or build."""

    def __init__(self) -> None:
        self.steps = 0
        self.last: BaseException | None = None
        self.foreign: set[str] = set()

    def step(self) -> None:
        self.steps += 1
        if self.steps > MAX_STEPS:
            raise EndlessError

    def note(self, error: Exception, declines: bool) -> None:
        """`error`, which is none of construct's, came out of a construct that perhaps only `declines`."""
        if error is self.last:
            return
        self.last = error
        trace = error.__traceback__
        while trace is not None:
            name = trace.tb_frame.f_code.co_filename
            if name.startswith(USER_FOLDERS):
                self.foreign.add("decline" if declines else "user")
            elif name == construct.expr.__file__:
                self.foreign.add("expression")
            trace = trace.tb_next
        if isinstance(error, NameError):
            self.foreign.add("user")


_observer = Observer()


def _observed(original: Any, building: bool) -> Any:
    def method(self: Any, *args: Any) -> Any:
        observer = _observer
        observer.step()
        try:
            return original(self, *args)
        except (ConstructError, EndlessError):
            raise
        except Exception as error:
            observer.note(
                error, declines=building and (isinstance(self, Adapter) or args[0] is None)
            )
            raise

    return method


def _methods(kind: type) -> Iterator[tuple[type, str, Any]]:
    """The parsers and builders of construct's classes, and of those that are ours in their way."""
    if kind.__module__ in {
        module.__name__ for module in (construct.core, construct.debug, flat, verified)
    }:
        for name in ("_parse", "_build"):
            if name in vars(kind):
                yield kind, name, vars(kind)[name]
    for heir in kind.__subclasses__():
        yield from _methods(heir)


_ORIGINALS = {(kind, name): original for kind, name, original in _methods(Construct)}
_OBSERVED = {
    key: _observed(original, building=key[1] == "_build") for key, original in _ORIGINALS.items()
}


@contextlib.contextmanager
def observing() -> Iterator[None]:
    """In here construct's classes are seen by the observer; ours must not run meanwhile."""
    for (kind, name), method in _OBSERVED.items():
        setattr(kind, name, method)
    try:
        with mock.patch("construct.lib.bitstream.sleep", side_effect=EndlessError):
            yield
    finally:
        for (kind, name), method in _ORIGINALS.items():
            setattr(kind, name, method)


def _run(call: Any, *args: Any) -> tuple[Any, Exception | None, Verdict]:
    global _observer
    _observer = Observer()
    verdict = Verdict()
    value = error = None
    try:
        value = call(*args)
    except EndlessError:
        verdict.endless = True
        verdict.refusal = "it would go on for ever"
    except RecursionError as caught:
        error = caught
        verdict.deep = True
        verdict.refusal = "nested too deeply"
    except Exception as caught:
        error = caught
        verdict.refusal = f"{type(caught).__name__}: {caught}".replace("\n", ": ")
    if not verdict.refusal:
        verdict.swallowed = _observer.foreign
    return value, error, verdict


def uncompiled(node: Any) -> Any:
    """A schema, changed in place, with what was compiled instead of what ``compile()`` gave."""
    if isinstance(node, Compiled):
        return node.defersubcon
    for name, value in vars(node).items():
        if isinstance(value, Construct):
            setattr(node, name, uncompiled(value))
        elif isinstance(value, list):
            value[:] = [uncompiled(v) if isinstance(v, Construct) else v for v in value]
        elif isinstance(value, dict):
            value |= {k: uncompiled(v) for k, v in value.items() if isinstance(v, Construct)}
    if isinstance(node, Renamed):
        node.flagbuildnone = node.subcon.flagbuildnone
    return node


def parse(schema: Any, data: bytes) -> Verdict:
    def both(data: bytes) -> tuple[Any, Any]:
        raw = schema.parse(data)
        recording.clone(raw)  # for what it may raise
        return raw, normalize(raw)

    value, error, verdict = _run(both, data)
    del error
    if not verdict.refusal:
        verdict.raw, verdict.value = value
        if not isinstance(verdict.value, dict):
            verdict.refusal = f"the message is no struct, but {type(verdict.value).__name__}"
    return verdict


def build(schema: Any, value: Any) -> Verdict:
    """The verdict on a message that is to be sent; `value` is not changed."""
    with lenience() as reasons:
        other, _, lenient = _run(schema.build, recording.clone(value))
    lenient.value = other
    if not reasons:
        return lenient
    built, _, verdict = _run(schema.build, recording.clone(value))
    verdict.value = built
    verdict.odd = " and ".join(sorted(reasons & ODD))
    reasons -= ODD
    if reasons and not lenient.refusal:
        verdict.excused, verdict.other = " and ".join(sorted(reasons)), other
    return verdict


ABSENT = "None for a branch that needs a value says that it is missing"
MISNAMED = "a mapping of other names for a named tuple"
ODD = {ABSENT, MISNAMED}


@contextlib.contextmanager
def lenience() -> Iterator[set[str]]:
    """In here construct takes messages as the law does. Gives the reasons for which it did."""
    reasons: set[str] = set()
    encode = NamedTuple._encode

    def by_name(self: Any, obj: Any, context: Any, path: str) -> Any:
        named = isinstance(obj, Mapping)
        if named and set(obj) == set(self.factory._fields):
            reasons.add("a named tuple is given by its names")
            obj = self.factory(**obj)
        elif named:
            reasons.add(MISNAMED)
        return encode(self, obj, context, path)

    def completing(build: Any) -> Any:
        def method(self: Any, obj: Any, *args: Any) -> Any:
            missing = _missing(self, obj) if isinstance(obj, Mapping) else {}
            reasons.update(reason for reason, _ in missing.values())
            if missing:
                obj = Container({**obj, **{name: value for name, (_, value) in missing.items()}})
            return build(self, obj, *args)

        return method

    def wanting(build: Any) -> Any:
        def method(self: Any, obj: Any, stream: Any, context: Any, path: str) -> Any:
            if obj is None and not _chosen(self, context).flagbuildnone:
                reasons.add(ABSENT)
            return build(self, obj, stream, context, path)

        return method

    with (
        mock.patch.object(IfThenElse, "_build", wanting(IfThenElse._build)),
        mock.patch.object(Switch, "_build", wanting(Switch._build)),
        mock.patch.object(NamedTuple, "_encode", by_name),
        mock.patch.object(Struct, "_build", completing(Struct._build)),
        mock.patch.object(flat.FlatStruct, "_build", completing(flat.FlatStruct._build)),
    ):
        yield reasons


def _missing(struct: Any, given: Mapping[str, Any]) -> dict[str, tuple[str, Any]]:
    """The members that are not given, and need not be by law: why, and what they are then."""
    found = {}
    for member in struct.subcons:
        name = member.name
        if name in given or member.flagbuildnone:
            continue
        if isinstance(unnamed(member), IfThenElse | Switch):
            found[name] = "a missing conditional member is None", None
        elif str(name).startswith("_"):
            found[name] = "a missing private member is zero", 0
    return found


def _chosen(node: Any, context: Any) -> Any:
    """The branch that a conditional takes."""
    if isinstance(node, IfThenElse):
        return node.thensubcon if evaluate(node.condfunc, context) else node.elsesubcon
    return node.cases.get(evaluate(node.keyfunc, context), node.default)
