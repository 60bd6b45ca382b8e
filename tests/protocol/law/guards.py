"""construct's classes with what the law adds to them: `NAMES`, for schemas of the oracle.

- What a user's function raises, unless it is a ConstructError, is an error of the message, also where
  construct takes it for "does not match".
- Elements of no bytes do not repeat for ever.
- Strict: unknown keys, and a Switch without a case, are errors of the message.
- A conditional member that is missing is None, a private one (``_r…``) that is missing is zero.
"""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import construct as c
from construct.core import evaluate, stream_write
from tests.protocol.law import helpers
from tests.protocol.law.native import Transparent, bare, native

import iotsim

EMPTY_ELEMENTS = 1000
"""How many elements of no bytes an array may have; more than any of these schemas needs."""

_NO_USER_CODE = (
    str(Path(c.__file__).parent),
    str(Path(iotsim.__file__).parent),
    str(Path(__file__)),
)


class RefusalError(BaseException):
    """An error of the whole message: no Exception, so that no alternative swallows it."""

    passing = False
    """On encode, another alternative may take the value."""


class UnknownKeyError(c.ConstructError):
    """A key that the struct does not know: it is not the one that is meant."""


def _from_user(error: BaseException) -> bool:
    """Whether `error`, no ConstructError, came out of a function that the schema's author wrote.

    A NameError is always a mistake of the author's.
    """
    if isinstance(error, NameError):
        return True
    trace = error.__traceback__
    while trace is not None:
        if not trace.tb_frame.f_code.co_filename.startswith(_NO_USER_CODE):
            return True
        trace = trace.tb_next
    return False


class Stream(io.BytesIO):
    """The message, and how far its members reach."""

    reached = 0


class Checksum(c.Checksum):
    """It ends where its field ends, wherever its function leaves the stream."""

    def _parse(self, stream: Any, context: Any, path: str) -> Any:
        start = stream.tell()
        self.checksumfield._parse(stream, context, path)
        end = stream.tell()
        stream.seek(start)
        value = super()._parse(stream, context, path)
        if isinstance(stream, Stream):
            stream.reached = max(stream.reached, end)
        return value


@dataclass
class View:
    """How encoding sees what the law leaves open."""

    hard: bool = False
    """What an author's function raises ends the message at once, as it does on decode."""
    decoded: bool = False
    """The value of an adapter is what it would decode to, not what was given."""
    firm: bool = False
    """What is `odd` is refused: what is no mapping for a struct, None for a branch that needs a value."""
    odd: bool = False
    """Such a thing was met, of which construct takes some; set by building."""
    selecting: int = 0
    """How many Selects are being built: there, None for a struct says that it is not there."""

    def allow(self, *, usual: bool) -> None:
        if not usual:
            self.odd = True
            if self.firm:
                raise c.ConstructError("odd")


view = View()


@contextlib.contextmanager
def viewed(**changes: bool) -> Iterator[None]:
    for name in changes:
        setattr(view, name, True)
    try:
        yield
    finally:
        for name in changes:
            setattr(view, name, False)


class AsDecoded(c.Adapter):
    """An adapter of the author's: see `View.decoded`."""

    def _build(self, obj: Any, stream: Any, context: Any, path: str) -> Any:
        encoded = self._encode(obj, context, path)
        self.subcon._build(encoded, stream, context, path)
        if not view.decoded:
            return obj
        try:
            return self._decode(encoded, context, path)
        except Exception:
            return obj


def _size(stream: Any) -> int:
    """The end of the stream, beyond which there is no progress."""
    try:
        return int(c.core.stream_size(stream))
    except c.StreamError:
        return sys.maxsize


class Guard(Transparent):
    """Around an element or alternative: a user's mistake, and no progress, end the message."""

    def __init__(self, subcon: Any, empty: int | None = None) -> None:
        super().__init__(subcon)
        self.empty = empty
        self.furthest = self.idle = 0

    def _parse(self, stream: Any, context: Any, path: str) -> Any:
        start = stream.tell()
        index = context.get("_index")
        reached = stream.reached if isinstance(stream, Stream) else 0
        try:
            value = super()._parse(stream, context, path)
        except Exception as error:
            if isinstance(stream, Stream):
                stream.reached = reached
            if not isinstance(error, c.ConstructError) and _from_user(error):
                raise RefusalError from error
            raise
        if self.empty is not None:
            self._progress(min(start, _size(stream)), min(stream.tell(), _size(stream)), index)
        return value

    def _progress(self, start: int, end: int, index: int) -> None:
        """Refuse elements of no bytes, and such as go back, when they are too many."""
        if index == 0:
            self.furthest, self.idle = start, 0
        self.idle += end <= self.furthest
        self.furthest = max(self.furthest, end)
        if self.idle > (self.empty if end == start else EMPTY_ELEMENTS):
            raise RefusalError

    def _build(self, obj: Any, stream: Any, context: Any, path: str) -> Any:
        try:
            return super()._build(obj, stream, context, path)
        except c.ConstructError:
            raise
        except Exception as error:
            if _from_user(error):
                refusal = RefusalError()
                refusal.passing = not isinstance(error, NameError)
                raise refusal from error
            raise


def guarded_range(subcon: Any, discard: bool = False) -> Any:
    return c.GreedyRange(Guard(subcon, empty=0), discard)


def guarded_array(count: Any, subcon: Any, discard: bool = False) -> Any:
    return c.Array(count, Guard(subcon, empty=EMPTY_ELEMENTS), discard)


def guarded_until(predicate: Any, subcon: Any, discard: bool = False) -> Any:
    return c.RepeatUntil(predicate, Guard(subcon, empty=EMPTY_ELEMENTS), discard)


def guarded_counted(countfield: Any, subcon: Any) -> Any:
    return c.PrefixedArray(countfield, Guard(subcon, empty=EMPTY_ELEMENTS))


def guarded_optional(subcon: Any) -> Any:
    return Select(subcon, c.Pass)


class Select(c.Select):
    """On encode an alternative that refuses is passed over for another that takes the value.

    But not for Pass, which takes any: there None, or no field of an unnamed member, is what is absent. If
    none takes it, the refusal, of an unknown key or out of the author's code, is the message's. A NameError
    always is.
    """

    embedded = False

    def __init__(self, *subcons: Any) -> None:
        super().__init__(*map(Guard, subcons))

    def _build(self, obj: Any, stream: Any, context: Any, path: str) -> Any:
        absent = not obj if self.embedded else obj is None
        refusal: BaseException | None = None
        for subcon in self.subcons:
            if refusal is not None and bare(subcon) is c.Pass and not absent:
                continue
            names = [set(known) for known in known_names]
            view.selecting += 1
            value = native(subcon, obj)
            try:
                data = subcon.build(value, **context)
            except c.ExplicitError:
                raise
            except RefusalError as error:
                if not error.passing or (view.hard and not absent):
                    raise
                refusal = refusal or error
            except UnknownKeyError as error:
                refusal = refusal or error
            except Exception:
                pass
            else:
                stream_write(stream, data, len(data), path)
                return value
            finally:
                view.selecting -= 1
            known_names[:] = names
        if refusal is not None:
            raise refusal
        raise c.SelectError("no alternative", path=path)


known_names: list[set[str]] = []
"""The names that each FlatStruct that is being built knows so far."""


def _refuse_unknown(obj: Any, names: set[str]) -> None:
    for key in obj if isinstance(obj, Mapping) else ():
        if key not in names and not (isinstance(key, str) and key.startswith("_")):
            raise UnknownKeyError(f"unknown: {key}")


def _chosen(node: Any, context: Any) -> Any:
    """The branch of a conditional node."""
    node = bare(node)
    while isinstance(node, c.IfThenElse | c.Switch | c.LazyBound):
        if isinstance(node, c.LazyBound):
            node = node.subconfunc()
        elif isinstance(node, c.IfThenElse):
            taken = evaluate(node.condfunc, context)
            node = node.thensubcon if taken else node.elsesubcon
        else:
            node = node.cases.get(evaluate(node.keyfunc, context), node.default)
        node = bare(node)
    return node


def _member(node: Any, obj: Any, context: Any, present: bool) -> Any:
    """The value to build a member from, of a struct that is `present` or perhaps not."""
    if node.flagbuildnone:
        return obj.get(node.name, None)
    if obj.get(node.name) is None:
        if present and is_private(node.name):
            return zero(node)
        if isinstance(bare(node), c.IfThenElse | c.Switch):
            context[node.name] = None
            if _chosen(node, context).flagbuildnone:
                return None
            view.allow(usual=node.name not in obj)  # construct takes None for a Flag, for example
    return obj[node.name]


def is_present(struct: Any, obj: Any) -> bool:
    """Whether a struct is built from something, or in any case."""
    return bool(obj) if struct.alternative else obj is not None or not view.selecting


def is_private(name: str | None) -> bool:
    return name is not None and name.startswith("_r")


def zero(node: Any) -> Any:
    """What a private member holds that was not given."""
    node = bare(node)
    with contextlib.suppress(Exception):
        return node.parse(bytes(node.sizeof()))
    if node is c.GreedyBytes:
        return b""
    return 0.0 if isinstance(node, c.FormatField) and node.fmtstr[1] in "efd" else 0


class NamedTuple(c.NamedTuple):
    """Messages show its fields by name, and it takes them so; of other names construct takes the list."""

    def _encode(self, obj: Any, context: Any, path: str) -> Any:
        if isinstance(obj, Mapping):
            named = set(obj) == set(self.factory._fields)
            view.allow(usual=named)
            obj = self.factory(**obj) if named else obj
        return super()._encode(obj, context, path)


class _Members(c.Construct):
    """construct's loop over the members of a struct, with the law's values of those that are missing."""

    strict = False
    embedded = False
    alternative = False
    """Embedded, and only if some of its fields are given."""

    def _build(self, obj: Any, stream: Any, context: Any, path: str) -> Any:
        this: Any = self
        present = is_present(self, obj)
        view.allow(usual=isinstance(obj, Mapping | None))
        if obj is None:
            obj = c.Container()
        names = {m.name for m in this.subcons if m.name}
        if self.embedded and known_names:
            known_names[-1] |= names
        elif self.strict:
            _refuse_unknown(obj, names)
        context = c.Container(
            _=context,
            _params=context._params,
            _root=None,
            _parsing=context._parsing,
            _building=context._building,
            _sizing=context._sizing,
            _subcons=this._subcons,
            _io=stream,
            _index=context.get("_index", None),
        )
        context._root = context._.get("_root", context)
        context.update(obj)
        for member in this.subcons:
            try:
                value = _member(member, obj, context, present)
                if member.name:
                    context[member.name] = value
                built = member._build(value, stream, context, path)
                if member.name:
                    context[member.name] = built
            except c.StopFieldError:
                break
        return context


class Struct(_Members, c.Struct):
    pass


class LazyStruct(_Members, c.LazyStruct):
    pass


def takes_none(node: Any) -> bool:
    """Whether construct may build a branch of it without a value that it needs."""
    node = bare(node)
    if isinstance(node, c.IfThenElse):
        return takes_none(node.thensubcon) or takes_none(node.elsesubcon)
    if isinstance(node, c.Switch):
        return any(map(takes_none, [*node.cases.values(), node.default]))
    plain = c.FormatField | c.Bytes | c.BytesInteger | c.Enum | c.StringEncoded
    return not isinstance(node, plain) and node is not c.Pass


class _Given(dict):
    """The fields given to a FlatStruct, with the law's values of those that are missing."""

    missing: dict[str, Any]

    def __missing__(self, name: str) -> Any:
        return self.missing[name]


class FlatStruct(iotsim.FlatStruct):
    strict = False
    embedded = False
    alternative = False

    def __init__(self, *subcons: Any) -> None:
        super().__init__(*subcons)
        for member in self.subcons:
            if not member.name:
                _embed(member)

    def _build(self, obj: Any, stream: Any, context: Any, path: str) -> Any:
        view.allow(usual=isinstance(obj, Mapping | None))
        given = _Given({} if obj is None else obj)
        given.missing = {}
        present = is_present(self, obj)
        for member in self.subcons:
            if isinstance(bare(member), c.IfThenElse | c.Switch):
                given.missing[member.name] = None
                view.allow(usual=given.get(member.name) is not None or not takes_none(member))
            elif present and is_private(member.name) and not member.flagbuildnone:
                given.missing[member.name] = zero(member)
                if given.get(member.name) is None:
                    given.pop(member.name, None)
        known_names.append({m.name for m in self.subcons if m.name})
        try:
            built = super()._build(given, stream, context, path)
        finally:
            names = known_names.pop()
        if self.embedded and known_names:
            known_names[-1] |= names
        elif self.strict:
            _refuse_unknown(obj, names)
        return built


def _embed(node: Any, alternative: bool = False) -> None:
    """Tell the structs of an unnamed member of a FlatStruct that they are part of it."""
    node = bare(node)
    if isinstance(node, Struct | FlatStruct):
        node.embedded = True
        node.alternative = alternative
    elif isinstance(node, c.Switch):
        for case in (*node.cases.values(), node.default):
            _embed(case, alternative)
    elif isinstance(node, c.IfThenElse):
        _embed(node.thensubcon, alternative)
        _embed(node.elsesubcon, alternative)
    elif isinstance(node, c.Select):
        node.embedded = True
        for choice in node.subcons:
            _embed(choice, True)
    elif isinstance(node, c.Subconstruct) and not isinstance(node, c.Adapter | c.RawCopy):
        _embed(node.subcon, alternative)


class Switch(c.Switch):
    strict = False

    def __init__(self, keyfunc: Any, cases: Any, default: Any = None) -> None:
        super().__init__(keyfunc, cases, default)
        self.closed = default is None

    def _check(self, context: Any) -> None:
        if self.strict and self.closed and evaluate(self.keyfunc, context) not in self.cases:
            raise RefusalError

    def _parse(self, stream: Any, context: Any, path: str) -> Any:
        self._check(context)
        return super()._parse(stream, context, path)

    def _build(self, obj: Any, stream: Any, context: Any, path: str) -> Any:
        self._check(context)
        branch = self.cases.get(evaluate(self.keyfunc, context), self.default)
        return super()._build(native(branch, obj), stream, context, path)


class IfThenElse(c.IfThenElse):
    def _build(self, obj: Any, stream: Any, context: Any, path: str) -> Any:
        branch = self.thensubcon if evaluate(self.condfunc, context) else self.elsesubcon
        return super()._build(native(branch, obj), stream, context, path)


def guarded_if(condition: Any, subcon: Any) -> Any:
    return IfThenElse(condition, subcon, c.Pass)


def _names(strict: bool) -> dict[str, Any]:
    classes = (Struct, LazyStruct, FlatStruct, Switch)
    made = {kind.__name__: type(kind.__name__, (kind,), {"strict": strict}) for kind in classes}

    def bit_struct(*subcons: Any) -> Any:
        return c.Bitwise(made["Struct"](*subcons))

    def aligned_struct(modulus: Any, *subcons: Any) -> Any:
        return made["Struct"](*[m.name / c.Aligned(modulus, m) for m in subcons])

    adapters = [c.ExprAdapter, c.ExprSymmetricAdapter, *vars(helpers).values()]
    for kind in adapters:
        if isinstance(kind, type) and issubclass(kind, c.Adapter):
            made[kind.__name__] = type(kind.__name__, (AsDecoded, kind), {})
    return {
        **made,
        "BitStruct": bit_struct,
        "AlignedStruct": aligned_struct,
        "PrefixedArray": guarded_counted,
        "Checksum": Checksum,
        "NamedTuple": NamedTuple,
        "GreedyRange": guarded_range,
        "Array": guarded_array,
        "RepeatUntil": guarded_until,
        "Optional": guarded_optional,
        "If": guarded_if,
        "IfThenElse": IfThenElse,
        "Select": Select,
    }


NAMES = {strict: _names(strict) for strict in (False, True)}
"""What replaces construct's names where the oracle evaluates a schema, lax and strict."""
