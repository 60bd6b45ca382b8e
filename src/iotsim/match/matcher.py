"""Matchers: the table behind ``when``, ``receives`` or ``sends`` as one generated function.

A table names the fields it cares about; each must satisfy its condition, in the order written.
Nested fields are named by nested tables (which is what TOML makes of dotted keys) or by one key
with dots in it. A table is a nested field where the schema has a structure or flags at that path
(without a schema: where its keys are not operators), and operators everywhere else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from iotsim.errors import ExpressionError, Problem, ScenarioError
from iotsim.match.fieldpath import find_field, split
from iotsim.match.literal import render
from iotsim.match.runtime import dig
from iotsim.match.translate import NOTHING_KNOWN, Names
from iotsim.match.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from iotsim.match.condition import Condition
    from iotsim.match.expression import DeviceView
    from iotsim.match.writer import Report
    from iotsim.protocol.fields import Schema

Test: TypeAlias = "Callable[[Mapping[str, Any], DeviceView, float], bool]"
UNDECODABLE = "undecodable"
EVALUATED = "(msg, device, t)"
"""Stands in the code of a condition that calls an expression."""


class Mismatch(NamedTuple):
    """A field that does not satisfy its condition, as text for people."""

    field: str
    expected: str
    actual: str

    def __str__(self) -> str:
        return f"{self.field}: expected {self.expected}, not {self.actual}"


class Matcher:
    """A compiled match.

    ``matches(msg, device, t)`` is the generated function; ``text`` a rendering for people;
    ``source`` the function's body, and ``namespace`` what the names in it mean: others may generate
    functions of it, too. An ``undecodable`` matcher is for datagrams that are no message
    and matches no message. Where an expression fails because the message lacks a field, the message
    does not match; any other failure raises ExpressionError.
    """

    __slots__ = ("_checks", "conditions", "matches", "namespace", "source", "text", "undecodable")

    matches: Test

    def __init__(
        self,
        conditions: tuple[Condition, ...],
        namespace: dict[str, Any],
        *,
        undecodable: bool = False,
    ) -> None:
        self.conditions = conditions
        self.undecodable = undecodable
        self.namespace = namespace
        self._checks: list[Callable[..., Any]] | None = None
        if undecodable:
            self.source = "False"
            self.text = "an undecodable datagram"
        else:
            codes = (condition.code for condition in conditions)
            self.source = " and ".join(codes) or "True"
            self.text = " and ".join(map(_shown, conditions)) or "any message"
        self.matches = self._compile(self.source)

    def __repr__(self) -> str:
        return f"<Matcher {self.text}>"

    def _compile(self, source: str, *, absent: bool = False) -> Callable[..., Any]:
        """`source` as a function; `absent` is its value where an expression misses a field."""
        test: Callable[..., Any] = eval(f"lambda msg, device, t: {source}", self.namespace)
        if EVALUATED not in source:
            return test  # no expressions, so nothing that raises

        def guarded(msg: Mapping[str, Any], device: DeviceView, t: float) -> bool:
            try:
                return bool(test(msg, device, t))
            except ExpressionError as error:
                if error.absent:
                    return absent
                raise

        return guarded

    @property
    def equalities(self) -> dict[str, Any]:
        """Fields that must equal these values, or else the message does not match.

        That can be told before all else: no expression stands before such a condition, which could
        fail by itself.
        """
        found: dict[str, Any] = {}
        for condition in self.conditions:
            if EVALUATED in condition.code:
                break
            if condition.equals is not None:
                found.setdefault(condition.field, condition.equals[0])
        return found

    def source_besides(self, field: str) -> str:
        """`source` for a message whose `field` equals what `equalities` says; "" where it matches."""
        known = (field, (self.equalities[field],))
        return " and ".join(c.code for c in self.conditions if (c.field, c.equals) != known)

    def negation(self) -> Test:
        """A function that is true where `matches` is not."""
        return self._compile(f"not ({self.source})", absent=True)

    @property
    def checks(self) -> Sequence[Callable[..., Any]]:
        """A function like `matches` for each of the conditions by itself."""
        if self._checks is None:
            self._checks = [self._compile(condition.code) for condition in self.conditions]
        return self._checks

    def explain(self, msg: Mapping[str, Any], device: DeviceView, t: float) -> list[Mismatch]:
        """Each condition that `msg` does not satisfy; none if it matches."""
        if self.undecodable:
            return [Mismatch("message", self.text, "a message that decodes")]
        mismatches = []
        for condition, check in zip(self.conditions, self.checks, strict=True):
            try:
                if check(msg, device, t):
                    continue
                value = dig(msg, split(condition.field))
                actual = render(value) + condition.reason(value)
            except ExpressionError as error:
                actual = f"an error: {error.reason}"
            mismatches.append(Mismatch(condition.field, condition.expected, actual))
        return mismatches


def _shown(condition: Condition) -> str:
    return f"{condition.field} {condition.expected}"


def compile_match(
    spec: Mapping[str, Any],
    schema: Schema | None = None,
    names: Names = NOTHING_KNOWN,
    *,
    undecodable_allowed: bool = True,
    report: Report | None = None,
) -> Matcher:
    """Compile a match.

    With a `schema`, fields and literals are held against it. `names` are what expressions may name
    of a device. What is wrong goes to ``report(keys, message, hint)``, where keys lead from `spec`
    to the place, and is left out of the matcher; without `report`, ScenarioError is raised with
    all.
    """
    problems: list[Problem] = []

    def collect(keys: tuple[str | int, ...], message: str, hint: str) -> None:
        problems.append(Problem(message, path=".".join(map(str, keys)), hint=hint))

    said = collect if report is None else report
    writer = Writer(names, schema)
    if UNDECODABLE in spec and (schema is None or find_field(schema, UNDECODABLE) is None):
        _check_undecodable(spec, undecodable_allowed, said)
        matcher = Matcher((), writer.namespace, undecodable=True)
    else:
        matcher = Matcher(tuple(writer.conditions(spec, said)), writer.namespace)
    if problems:
        raise ScenarioError(problems)
    return matcher


def _check_undecodable(spec: Mapping[str, Any], allowed: bool, report: Report) -> None:
    if not allowed:
        report((UNDECODABLE,), "only an expectation can ask for what is undecodable", "")
    if spec[UNDECODABLE] is not True:
        report((UNDECODABLE,), "must be true", "")
    for key in spec:
        if key != UNDECODABLE:
            report((key,), "an undecodable datagram has no fields", "")
