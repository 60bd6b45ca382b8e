"""The law's oracle: construct itself, with what the law adds to it.

A schema is Python source, evaluated twice: for the codec with construct's own names, for the oracle
with those of `NAMES`, which are construct's classes with a guard inserted here and there:

- what a user's function raises, unless it is a ConstructError, is an error of the message, also where
  construct takes it for "does not match";
- elements of no bytes do not repeat for ever;
- strict: left-over bytes, unknown keys, a Switch without a case are errors of the message;
- a conditional member that is missing is None, a private one (`_r…`) that is missing is zero.

Values are plain: what `normalize` makes of construct's, but with private members that need a value
kept, and with lazy ones called. By the tests' convention their names begin with ``_r``.
"""

from __future__ import annotations

import copy
import io
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import construct as c
from construct.core import evaluate, stream_write

import iotsim
from iotsim.protocol.interpreted import normalize

EMPTY_ELEMENTS = 65536
"""How many elements of no bytes an array may have."""

REFUSED = type("Refused", (), {"__repr__": lambda self: "REFUSED"})()
"""What decoding or encoding gives where the law refuses."""

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
    """Whether `error`, no ConstructError, came out of a function that the schema's author wrote."""
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


class Guard(c.Subconstruct):
    """Around an element or alternative: a user's mistake, and no progress, end the message."""

    def __init__(self, subcon: Any, empty: int | None = None) -> None:
        super().__init__(subcon)
        self.empty = empty

    def _parse(self, stream: Any, context: Any, path: str) -> Any:
        start = stream.tell()
        try:
            value = super()._parse(stream, context, path)
        except c.ConstructError:
            raise
        except Exception as error:
            if _from_user(error):
                raise RefusalError from error
            raise
        if self.empty is not None and stream.tell() == start and context._index >= self.empty:
            raise RefusalError
        return value

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


def bare(node: Any) -> Any:
    while isinstance(node, c.Renamed | Guard):
        node = node.subcon
    return node


class Select(c.Select):
    """On encode an alternative that refuses is passed over for another that takes the value.

    But not for Pass, which takes any: there None is what is absent. If none takes it, the refusal, of an
    unknown key or out of the author's code, is the message's. A NameError always is.
    """

    hard = False
    """Whether what an author's function raises ends the message at once, as it does on decode."""

    def __init__(self, *subcons: Any) -> None:
        super().__init__(*map(Guard, subcons))

    def _build(self, obj: Any, stream: Any, context: Any, path: str) -> Any:
        refusal: BaseException | None = None
        for subcon in self.subcons:
            if refusal is not None and bare(subcon) is c.Pass and obj is not None:
                continue
            names = [set(flat) for flat in _flat]
            try:
                data = subcon.build(obj, **context)
            except c.ExplicitError:
                raise
            except RefusalError as error:
                if not error.passing or (Select.hard and obj is not None):
                    raise
                refusal = refusal or error
            except UnknownKeyError as error:
                refusal = refusal or error
            except Exception:
                pass
            else:
                stream_write(stream, data, len(data), path)
                return obj
            _flat[:] = names
        if refusal is not None:
            raise refusal
        raise c.SelectError("no alternative", path=path)


_flat: list[set[str]] = []
"""The names that each FlatStruct that is being built knows so far."""


def _refuse_unknown(obj: Any, names: set[str]) -> None:
    for key in obj if isinstance(obj, Mapping) else ():
        if key not in names and not (isinstance(key, str) and key.startswith("_")):
            raise UnknownKeyError(f"unknown: {key}")


def _chosen(node: Any, context: Any) -> Any:
    """The branch of a conditional node."""
    node = bare(node)
    while isinstance(node, c.IfThenElse | c.Switch):
        if isinstance(node, c.IfThenElse):
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
    if node.name not in obj:
        if isinstance(bare(node), c.IfThenElse | c.Switch):
            context[node.name] = None
            if _chosen(node, context).flagbuildnone:
                return None
        elif present and node.name is not None and node.name.startswith("_r"):
            return b"" if bare(node) is c.GreedyBytes else 0
    return obj[node.name]


class _Members(c.Construct):
    """construct's loop over the members of a struct, with the law's values of those that are missing."""

    strict = False
    embedded = False
    alternative = False
    """Embedded, and only if some of its fields are given."""

    def _build(self, obj: Any, stream: Any, context: Any, path: str) -> Any:
        this: Any = self
        present = obj is not None and bool(obj or not self.alternative)
        if obj is None:
            obj = c.Container()
        names = {m.name for m in this.subcons if m.name}
        if self.embedded and _flat:
            _flat[-1] |= names
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


class _Given(dict):
    """The fields given to a FlatStruct: those of its conditional members that are missing are None."""

    optional: set[str]
    private: set[str]

    def __missing__(self, name: str) -> Any:
        if name in self.optional:
            return None
        if name in self.private:
            return 0
        raise KeyError(name)


class FlatStruct(iotsim.FlatStruct):
    strict = False
    embedded = False

    def __init__(self, *subcons: Any) -> None:
        super().__init__(*subcons)
        for member in self.subcons:
            if not member.name:
                _embed(member)

    def _build(self, obj: Any, stream: Any, context: Any, path: str) -> Any:
        given = _Given(obj or {})
        conditional = c.IfThenElse | c.Switch
        given.optional = {m.name for m in self.subcons if isinstance(bare(m), conditional)}
        given.private = {m.name for m in self.subcons if m.name and m.name.startswith("_r")}
        _flat.append({m.name for m in self.subcons if m.name})
        try:
            built = super()._build(given, stream, context, path)
        finally:
            names = _flat.pop()
        if self.embedded and _flat:
            _flat[-1] |= names
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
        return super()._build(obj, stream, context, path)


def _names(strict: bool) -> dict[str, Any]:
    classes = (Struct, LazyStruct, FlatStruct, Switch)
    made = {kind.__name__: type(kind.__name__, (kind,), {"strict": strict}) for kind in classes}

    def bit_struct(*subcons: Any) -> Any:
        return c.Bitwise(made["Struct"](*subcons))

    def aligned_struct(modulus: Any, *subcons: Any) -> Any:
        return made["Struct"](*[m.name / c.Aligned(modulus, m) for m in subcons])

    return {
        **made,
        "BitStruct": bit_struct,
        "AlignedStruct": aligned_struct,
        "PrefixedArray": guarded_counted,
        "Checksum": Checksum,
        "GreedyRange": guarded_range,
        "Array": guarded_array,
        "RepeatUntil": guarded_until,
        "Optional": guarded_optional,
        "Select": Select,
    }


NAMES = {strict: _names(strict) for strict in (False, True)}
"""What replaces construct's names where the oracle evaluates a schema, lax and strict."""


class Oracle:
    """What the law says of the messages of a schema, given a function that makes it of names."""

    def __init__(self, make: Callable[[Mapping[str, Any]], Any], strict: bool) -> None:
        self.strict = strict
        self.schema = make(NAMES[strict])

    def parse(self, data: bytes) -> Any:
        """The message as construct has it, or REFUSED."""
        stream = Stream(data)
        try:
            value = self.schema.parse_stream(stream)
            if self.strict and max(stream.tell(), stream.reached) < len(data):
                return REFUSED
            return settled(value)
        except (Exception, RefusalError):
            return REFUSED

    def decode(self, data: bytes) -> Any:
        value = self.parse(data)
        if value is REFUSED:
            return REFUSED
        message = plain(value)
        return message if isinstance(message, dict) else REFUSED

    def build(self, value: Any) -> Any:
        """The bytes, or REFUSED."""
        _flat.clear()
        try:
            return self.schema.build(value)
        except (Exception, RefusalError):
            return REFUSED

    def encodings(self, message: Any) -> list[Any]:
        """What `encode` may give for a plain message.

        First of construct's own values, as far as it can be known what they were; then of the plain
        ones, which differ only in what a user's function sees of them. Last, a refusal because of the
        author's function in a Select, even if another alternative takes the value.
        """
        values = native(self.schema, message), copy.deepcopy(message)
        found = [self.build(value) for value in values]
        Select.hard = True
        if self.build(values[0]) is REFUSED:
            found.append(REFUSED)
        Select.hard = False
        return found


def settled(value: Any) -> Any:
    """A parsed value with all that is lazy called, and without streams."""
    if callable(value) and not isinstance(value, type):
        return settled(value())
    if isinstance(value, c.core.LazyContainer):
        return c.Container({name: settled(value[name]) for name in value})
    if type(value) is c.Container:
        return c.Container({name: settled(v) for name, v in value.items() if name != "_io"})
    if isinstance(value, c.core.LazyListContainer) or type(value) is c.ListContainer:
        return c.ListContainer(settled(v) for v in value)
    return value


def plain(value: Any) -> Any:
    """`normalize`, but private members that need a value are kept."""
    if isinstance(value, Mapping):
        return {
            str(name): plain(v)
            for name, v in value.items()
            if not str(name).startswith("_") or str(name).startswith("_r")
        }
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    return normalize(value)


_THROUGH = (
    c.Renamed,
    Guard,
    c.Default,
    c.Rebuild,
    c.Const,
    c.Prefixed,
    c.FixedSized,
    c.Padded,
    c.Aligned,
    c.NullTerminated,
    c.NullStripped,
    c.Transformed,
    c.Restreamed,
    c.Pointer,
    c.Lazy,
)


def native(node: Any, value: Any) -> Any:
    """A plain value as construct itself would have parsed it, as far as the schema tells."""
    if isinstance(node, _THROUGH):
        return native(node.subcon, value)
    if isinstance(node, c.Enum):
        if type(value) is str and value in node.encmapping:
            return c.core.EnumIntegerString.new(node.encmapping[value], value)
        return c.core.EnumInteger(value) if type(value) is int else value
    if isinstance(node, c.Struct | c.LazyStruct | c.Union) and isinstance(value, Mapping):
        members = {m.name: m for m in node.subcons}
        return c.Container(
            {k: native(members[k], v) if k in members else _container(v) for k, v in value.items()}
        )
    if isinstance(node, c.Sequence) and isinstance(value, list):
        nodes = [*node.subcons, *[None] * len(value)]
        return c.ListContainer(native(m, v) for m, v in zip(nodes, value, strict=False))
    if isinstance(node, c.Array | c.GreedyRange | c.RepeatUntil) and isinstance(value, list):
        return c.ListContainer(native(node.subcon, v) for v in value)
    if isinstance(node, c.FocusedSeq):
        for member in node.subcons:
            if member.name == node.parsebuildfrom:
                return native(member, value)
    if isinstance(node, c.RawCopy) and isinstance(value, Mapping):
        return c.Container(
            {k: native(node.subcon, v) if k == "value" else v for k, v in value.items()}
        )
    if isinstance(node, c.NamedTuple) and isinstance(value, list):
        return _named_tuple(node, value)
    return _container(value)


def _named_tuple(node: Any, values: list[Any]) -> Any:
    names = node.factory._fields
    if len(values) != len(names):
        return values
    if isinstance(node.subcon, c.Struct):
        fields = native(node.subcon, dict(zip(names, values, strict=True)))
        return node.factory(**fields)
    return node.factory(*native(node.subcon, values))


def _container(value: Any) -> Any:
    if isinstance(value, Mapping):
        return c.Container({k: _container(v) for k, v in value.items()})
    if isinstance(value, list):
        return c.ListContainer(_container(v) for v in value)
    return value


def same(a: Any, b: Any) -> bool:
    """Equal values of equal types, in equal order."""
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, float) and math.isnan(a):
        return math.isnan(b)
    return bool(a == b)
