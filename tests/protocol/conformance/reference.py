"""construct's verdict on a message, with the few places in which the law is not construct's own.

construct's Select, Optional, GreedyRange and Peek take any exception for "this does not match". Where
such a one came out of a user's function, `Verdict.swallowed` says so, and ours must refuse. A loop
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
from construct import Construct, ConstructError, IfThenElse, Renamed, Struct, Switch
from tests.protocol.conformance import archive, recording

from iotsim.protocol import flat, verified
from iotsim.protocol.interpreted import normalize

MAX_STEPS = 20_000
"""Steps of one parse or build, each a construct's; no case of the suite has half as many."""
USER_FOLDERS = (str(archive.TESTS), str(Path(__file__).with_name("cases.py")))
MAX_FILLED = 8


class EndlessError(BaseException):
    """construct would go on for ever, or for too long. No construct catches it."""


@dataclass
class Verdict:
    """What construct does: a value, or a refusal with its reason.

    ``swallowed``  where an exception came from that is none of construct's, and was taken for "does not
                   match": "user", a user's function; "expression"; "absence", a user's function
                   that was given None for an optional value that is not there
    ``excused``    why the law allows that ours gives ``other`` where construct refuses
    """

    value: Any = None
    raw: Any = None
    refusal: str = ""
    endless: bool = False
    deep: bool = False
    swallowed: set[str] = field(default_factory=set)
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

    def note(self, error: Exception, absent: bool) -> None:
        """`error`, which is none of construct's, came out of a construct, that was to build nothing."""
        if error is self.last:
            return
        self.last = error
        trace = error.__traceback__
        while trace is not None:
            name = trace.tb_frame.f_code.co_filename
            if name.startswith(USER_FOLDERS):
                self.foreign.add("absence" if absent else "user")
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
            observer.note(error, absent=building and args[0] is None)
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
    built, error, verdict = _run(schema.build, recording.clone(value))
    verdict.value = built
    filled = recording.clone(value)
    for _ in range(MAX_FILLED):
        if error is None or not (reason := _fill(error, filled)):
            break
        again, error, second = _run(schema.build, recording.clone(filled))
        if not second.refusal:
            verdict.excused, verdict.other = reason, again
    return verdict


def _fill(error: Exception, message: Any) -> str:
    """Give the member that `error` misses in `message` the value that it has by law, and say why."""
    if not isinstance(error, KeyError):
        return ""
    members = []
    trace = error.__traceback__
    while trace is not None:
        variables = trace.tb_frame.f_locals
        if trace.tb_frame.f_code.co_name == "_build" and isinstance(variables.get("self"), Struct):
            members.append(variables.get("sc", variables.get("member")))
        trace = trace.tb_next
    if not members or None in members or error.args[:1] != (members[-1].name,):
        return ""
    *path, name = [member.name for member in members]
    node = members[-1]
    for key in path:
        if key is not None:
            message = message.get(key) if isinstance(message, Mapping) else None
    while isinstance(node, Renamed):
        node = node.subcon
    if not isinstance(message, dict) or name in message:
        return ""
    if isinstance(node, IfThenElse | Switch):
        message[name] = None
        return "a missing conditional member is None"
    if isinstance(name, str) and name.startswith("_"):
        message[name] = 0
        return "a missing private member is zero"
    return ""
