"""`Generator`: what decoding and encoding have in common.

Both write a function that may raise whatever it likes for a message that is none, since its caller then asks
the reference engine. But it must raise for nothing that construct accepts; and inside a Repeat or a Select,
where a failure is no failure, what the reference has to decide raises Unusual, which nothing there takes
for one.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from iotsim.protocol import nodes as n
from iotsim.protocol.checksums import INLINE
from iotsim.protocol.functions import Simple
from iotsim.protocol.generate.expressions import certain, evaluate
from iotsim.protocol.generate.source import Scope, UnsupportedError, Value, Writer, literal
from iotsim.protocol.reach import reach
from iotsim.protocol.values import restorer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from iotsim.protocol.interpreted import Interpreter
    from iotsim.protocol.traced import Tracer


class Native(NamedTuple):
    """A node that construct does: its construct, and how to turn a plain value into one of its own."""

    construct: Any
    restore: Callable[[Any], Any]


class Task(NamedTuple):
    """What a function is generated from, and what becomes of it.

    ``reference``  the engine that does the same by construct
    ``tracer``     makes the copies of what is left to construct
    ``notes``      what is left to construct, by path
    ``known``      fields of the root whose value is given: see `iotsim.protocol.generate.compiler`
    """

    writer: Writer
    reference: Interpreter
    tracer: Tracer
    notes: dict[str, str]
    known: dict[str, Value]


class Generator:
    """Writes the body of a function for one schema."""

    def __init__(self, task: Task) -> None:
        self.w, self.reference, self.tracer, self.notes, self.known = task
        self.strict = self.reference.strict
        self.path: list[str] = []
        self.swallows = 0
        """In how many nodes it is that take a failure for the end, or for another alternative."""

    def shows(self, member: n.Member) -> bool:
        """Whether a member is part of the messages."""
        name = member.name
        return bool(name) and (not name.startswith("_") or name in self.reference.kept)

    # -- lines ----------------------------------------------------------------------------------

    def flush(self) -> None:
        """Write what has been put off."""

    def after(self, line: str) -> None:
        """Write ``line`` after what has been put off."""
        self.w.line(line)

    def refuse_if(self, condition: str) -> None:
        self.after(f"if {condition}: raise Mismatch")

    @contextmanager
    def swallowing(self) -> Iterator[None]:
        """A ``try`` whose failure is none, whatever failed but what construct itself lets pass."""
        self.swallows += 1
        with self.w.block("try:"):
            yield
        self.swallows -= 1
        self.w.line("except ExplicitError:")
        self.w.line("    raise")
        self.w.line("except Exception:")

    def variable(self, value: Value, hint: str) -> str:
        """A variable with ``value``."""
        if value.source.isidentifier() and not value.known:
            return value.source
        return self.w.let(hint, value.source)

    # -- parameters and functions ---------------------------------------------------------------

    def tell(self) -> Value:
        """The offset in the stream."""
        raise NotImplementedError

    def evaluate(self, parameter: Any, scope: Scope) -> Value:
        """A parameter. Flushes if it is not constant."""
        value = evaluate(parameter, scope, self.tell)
        if value.known:
            return value
        self.flush()
        if not self.swallows or not isinstance(parameter, Simple):
            return value
        # A function of the user's, whose errors must not be swallowed.
        name = self.w.new("value")
        with self.w.block("try:"):
            self.w.line(f"{name} = {value.source}")
        self.w.line("except Exception: raise Unusual from None")
        return replace(value, source=name)

    def value_of(self, parameter: Any, hint: str, scope: Scope) -> Value:
        """A parameter that is a value of the message: a constant, or a variable with it."""
        if not callable(parameter):
            try:
                return literal(parameter)
            except UnsupportedError:
                bound = self.w.bind("constant", parameter)
                return Value(bound, plain=f"normalize({bound})")
        value = self.evaluate(parameter, scope)
        if value.known:
            return value
        name = self.w.let(hint, value.source)
        return Value(name, plain=None if value.plain is None else f"normalize({name})")

    def call(self, function: Any, argument: str, hint: str) -> str:
        """Source that calls a function of the user's, whose errors are never a failed alternative."""
        if self.swallows:
            return f"guarded({self.w.bind(hint, function)}, {argument})"
        return f"{self.w.bind(hint, function)}({argument})"

    def checksum(self, node: n.Checksum, covered: str) -> str:
        """Source of the checksum of some bytes."""
        function: Any = node.function
        inline = INLINE.get(function)
        return inline.format(covered) if inline else self.call(function, covered, "checksum")

    def start_of(self, node: n.Checksum, scope: Scope) -> Value:
        start = self.evaluate(node.start, scope)
        if start.known and (not isinstance(start.constant, int) or start.constant < 0):
            raise UnsupportedError("a start before the message")
        return start

    def native(self, node: n.Node, among_bits: bool) -> str:
        """The name of a node that construct does."""
        reason = node.reason if isinstance(node, n.Opaque) else type(node).__name__
        if reach(node) > 0 or among_bits:
            raise UnsupportedError(reason)
        self.notes.setdefault(".".join(filter(None, self.path)) or "(message)", reason)
        made = Native(self.tracer.copy(node.origin), restorer(node))
        return self.w.bind("native", made, repr(node.origin), id(node))

    # -- alternatives ---------------------------------------------------------------------------

    def decided(self, node: n.Node, scope: Scope) -> n.Node:
        """What is chosen of a Switch or an If where that is certain, else ``node`` itself."""
        chosen = certain(node, scope) if isinstance(node, n.Choice) else node
        return node if chosen is node else self.decided(chosen, scope)

    def alternatives(self, node: n.Choice, scope: Scope) -> list[tuple[str, n.Node]]:
        """The nodes of a Switch or an If, each with the header of its block. Flushes."""
        if isinstance(node, n.If):
            *branches, (_, last) = node.branches
            tests = [(self.evaluate(test, scope).source, branch) for test, branch in branches]
            self.flush()
        else:
            assert isinstance(node, n.Switch)
            key, last = self.evaluate(node.key, scope), node.default
            self.flush()
            tests = self._cases(node, replace(key, source=self.variable(key, "key")))
        headers = [f"{'el' if index else ''}if {test}:" for index, (test, _) in enumerate(tests)]
        nodes = [branch for _, branch in tests]
        return [*zip(headers, nodes, strict=True), ("else:" if tests else "if True:", last)]

    def _cases(self, node: n.Switch, key: Value) -> list[tuple[str, n.Node]]:
        """The condition of each case. Writes a line if the key has to be looked up."""
        cases = list(node.cases.items())
        if key.scalar and len(cases) <= 8:
            try:
                return [
                    (f"{key.source} == {literal(constant).source}", one) for constant, one in cases
                ]
            except UnsupportedError:
                pass
        # A dict finds equal keys as construct does, and refuses those without a hash.
        index = {constant: number for number, (constant, _) in enumerate(cases)}
        bound = self.w.bind("cases", index, key=id(node))
        case_ = self.w.let("case", f"{bound}.get({key.source}, -1)")
        return [(f"{case_} == {number}", case) for number, (_, case) in enumerate(cases)]
