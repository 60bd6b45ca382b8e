"""Writes conditions on one field, as the text of a Python expression and as text for people.

The code refers to ``msg``, ``device`` and ``t``. Of a scenario's text, only the ``repr`` of plain
values enters it; all else comes in by way of a namespace, under names made here.

A field whose type only its value tells (kind "any") is compared with more care: a text equals what it
is the usual text of (`iotsim.match.usual`), and a range holds whatever is a number when it comes.
``some`` and ``every`` hold the elements of a list against a condition, or against a table of their
fields.

An absent field satisfies ``{ not = … }`` and ``{ exists = false }`` and nothing else. A field that
is there with the value None (construct's way to say that an optional part is not there) is absent.
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any, TypeVar

from iotsim.errors import ExpressionError
from iotsim.match.condition import Condition, kind_of, message_value
from iotsim.match.expression import compile_expression
from iotsim.match.fieldpath import field_hint, find_field, indexed, nearest, split
from iotsim.match.literal import LiteralError, article, render, rounded
from iotsim.match.operators import (
    OPERATORS,
    PRESENT,
    Invalid,
    holds_expression,
    holds_table,
    is_expression,
    is_nested,
)
from iotsim.match.pattern import Pattern, PatternError
from iotsim.match.ranges import range_test
from iotsim.match.runtime import namespace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import TypeAlias

    from iotsim.match.expression import DeviceView, Expression, Names
    from iotsim.protocol.fields import Field, Schema

    Report: TypeAlias = Callable[[tuple[str | int, ...], str, str], object]

T = TypeVar("T")
MOST_CHOICES = 10_000
MOST_CONDITIONS = 500
DEEPEST = 8
NO_TEXT = ("int", "float", "bool", "struct", "flags", "array", "none")
NO_LIST = ("int", "float", "bool", "struct", "flags", "enum", "bytes", "string", "none", "payload")


class Writer:
    """Writes the conditions of one matcher, and keeps the namespace that their code needs."""

    def __init__(self, names: Names, schema: Schema | None) -> None:
        self.names = names
        self.schema = schema
        self.namespace = namespace()
        self.variables = 0
        self.written = 0

    def conditions(
        self,
        table: Mapping[str, Any],
        report: Report,
        prefix: str = "",
        root: str = "msg",
        depth: int = 0,
    ) -> Iterator[Condition]:
        """The conditions of a table of fields; what is wrong goes to `report` and is left out.

        `prefix` is the path of what has the fields, with its dot, and `root` what the code calls
        what they are looked up in: the message, or an element of a list.
        """
        start = 0 if root == "msg" else len(prefix)
        yield from self._conditions(table, report, prefix, (), (root, start, depth))

    def _conditions(
        self,
        table: Mapping[str, Any],
        report: Report,
        prefix: str,
        keys: tuple[str | int, ...],
        place: tuple[str, int, int],
    ) -> Iterator[Condition]:
        if len(keys) > DEEPEST:
            report(keys, "nested too deeply", "")
            return
        root, start, depth = place
        for key, value in table.items():
            path = prefix + indexed(key)
            here = (*keys, key)
            self.written += 1
            if self.written > MOST_CONDITIONS:
                report(here, f"a match has at most {MOST_CONDITIONS} conditions", "")
                return
            field = find_field(self.schema, path) if self.schema is not None else None
            if self.schema is not None and field is None:
                report(here, f"unknown field '{path[:100]}'", field_hint(self.schema, path))
                continue
            if isinstance(value, dict) and is_nested(value, field, self.schema):
                self.written -= 1
                yield from self._conditions(value, report, path + ".", here, place)
                continue
            try:
                access = self._access(path[start:], root)
                code, expected = self._test(access, value, field, depth)
                yield Condition.of(path, value, field, code, expected)
            except Invalid as error:
                report((*here, *error.keys), error.message, error.hint)

    def expression(self, text: str) -> Expression:
        try:
            return compile_expression(text, self.names, schema=self.schema)
        except ExpressionError as error:
            raise Invalid(str(error), error.hint) from None

    def _access(self, path: str, root: str) -> str:
        parts = split(path)
        if any(isinstance(part, int) for part in parts[1:]):
            return f"dig({root}, {parts!r})"
        first, *steps = path.split(".")
        code = f"{root}.get({first!r})"
        for step in steps:
            variable = self._variable()
            code = f"({variable}.get({step!r}) if isinstance({variable} := {code}, dict) else None)"
        return code

    def _variable(self) -> str:
        self.variables += 1
        return f"v{self.variables}"

    def constant(self, value: Any) -> str:
        """Code for a value: its ``repr`` where that is an ordinary literal, else a name."""
        if isinstance(value, (bool, str, bytes)):
            return repr(value)
        if isinstance(value, int) and value.bit_length() <= 256:
            return repr(value)
        if isinstance(value, float) and math.isfinite(value):
            return repr(value)
        name = f"c{len(self.namespace)}"
        self.namespace[name] = value
        return name

    def _test(self, access: str, value: Any, field: Field | None, depth: int) -> tuple[str, str]:
        """Code that tests what `access` gives against `value`, and the text for people."""
        if depth > DEEPEST:
            raise Invalid("nested too deeply")
        if isinstance(value, list) and holds_table(value):
            return self._listed(access, value, field, depth)
        if isinstance(value, dict) and is_nested(value, field, self.schema):
            return self._fields(access, value, field, depth)
        if holds_expression(value) and not isinstance(value, dict):
            code, text = self.operand(value, field)
            if self._is_free(field) or isinstance(value, list):
                return f"same({access}, {code})", text
            return f"{access} == {code}", text
        if isinstance(value, dict) and (field is None or value.keys() & set(OPERATORS)):
            return self._operators(access, value, field, depth)
        if isinstance(value, dict) and field is not None and field.kind != "struct":
            for name in value:
                if field.kind == "array" and name.isdigit():
                    hint = f'write "{field.path}[{name}]", in quotes'
                    raise Invalid(f"unknown operator '{name[:100]}'", hint, (name,))
                self._unknown_operator(name)
            raise Invalid("an empty table", f"operators: {', '.join(OPERATORS)}")
        plain = self._literal(value, field)
        if isinstance(plain, float) and math.isnan(plain):
            variable = self._variable()
            return f"({variable} := {access}) != {variable}", "nan"
        if self._is_free(field) and isinstance(plain, (str, bytes, list)):
            return f"same({access}, {self.constant(plain)})", render(plain)
        return f"{access} == {self.constant(plain)}", render(plain)

    def operand(self, value: Any, field: Field | None) -> tuple[str, str]:
        """Code for a literal or an expression, rounded to the field's wire type, and its text."""
        if isinstance(value, list) and holds_expression(value):
            return self._display(value, field)
        if not is_expression(value):
            plain = self._literal(value, field)
            return self.constant(plain), render(plain)
        expression = self.expression(value[1:])
        if expression.constant:
            value = expression.evaluate(None, None, 0.0)  # type: ignore[arg-type]
            plain = self._literal(value, field)
            return self.constant(plain), render(plain)
        evaluate: Callable[..., Any] = expression.evaluate
        if field is not None:
            evaluate = _rounding(evaluate, field)
        return f"{self.constant(evaluate)}(msg, device, t)", f"={expression.text}"

    def _display(self, values: list[Any], field: Field | None) -> tuple[str, str]:
        """Code for a list in which there are expressions, and its text."""
        operands = self._each(values, field, self.operand)
        codes, texts = ([operand[part] for operand in operands] for part in (0, 1))
        return f"[{', '.join(codes)}]", f"[{', '.join(texts)}]"

    def _literal(self, value: Any, field: Field | None) -> Any:
        """`value` as a message would hold it, also the elements of a list."""
        if isinstance(value, list) and field is not None:
            return self._each(value, field, self._literal)
        return message_value(value, field)

    def _each(
        self, values: list[Any], field: Field | None, write: Callable[[Any, Field | None], T]
    ) -> list[T]:
        """What `write` makes of each value that an element of `field` is held against."""
        if field is not None and field.kind in NO_LIST:
            raise Invalid(f"a list, but '{field.path}' is {article(field.kind)}")
        inside = self._inside(field, "[]")
        made: list[T] = []
        for number, value in enumerate(values):
            try:
                made.append(write(value, inside))
            except Invalid as error:
                raise Invalid(error.message, error.hint, (number, *error.keys)) from None
        return made

    def _is_free(self, field: Field | None) -> bool:
        """Whether only a value itself tells of which type it is, or what its elements are."""
        if field is not None and field.kind == "array":
            return self._is_free(self._inside(field, "[]"))
        return kind_of(field) == "any"

    def _inside(self, field: Field | None, step: str) -> Field | None:
        if field is None or self.schema is None:
            return None
        return find_field(self.schema, field.path + step)

    def _unknown_operator(self, name: str) -> None:
        hint = nearest(name, OPERATORS) or f"operators: {', '.join(OPERATORS)}"
        raise Invalid(f"unknown operator '{name[:100]}'", hint, (name,))

    def _operators(
        self, access: str, table: Mapping[str, Any], field: Field | None, depth: int
    ) -> tuple[str, str]:
        if not table:
            raise Invalid("an empty table", f"operators: {', '.join(OPERATORS)}")
        for name in table:
            if name not in OPERATORS:
                self._unknown_operator(name)
        if table.get("exists") is False:
            for name in PRESENT & table.keys():
                raise Invalid(f"what is absent has no '{name}'", keys=(name,))
        variable = self._variable()
        codes: list[str] = []
        texts: list[str] = []
        if "min" in table or "max" in table:
            code, text = range_test(self, variable, table, field)
            codes.append(code)
            texts.append(text)
        for name, write in (
            ("any", self._any),
            ("not", self._not),
            ("some", self._some),
            ("every", self._every),
        ):
            if name in table:
                try:
                    code, text = write(variable, table[name], field, depth + 1)
                except Invalid as error:
                    raise Invalid(error.message, error.hint, (name, *error.keys)) from None
                codes.append(code)
                texts.append(text)
        if "regex" in table:
            codes.append(self._regex(variable, table["regex"], field))
            texts.append(f"like /{table['regex']}/")
        if "exists" in table:
            wanted = table["exists"]
            if not isinstance(wanted, bool):
                raise Invalid("must be true or false", keys=("exists",))
            codes.append(f"({variable} is {'not ' if wanted else ''}None)")
            texts.append("present" if wanted else "absent")
        # the first test binds the variable, whatever it is
        first = f"(({variable} := {access}) is None or True)"
        return f"({' and '.join([first, *codes])})", " and ".join(texts)

    def _some(self, variable: str, value: Any, field: Field | None, depth: int) -> tuple[str, str]:
        code, text = self._elements(variable, "some", value, field, depth)
        return code, f"a list with some element {text}"

    def _every(self, variable: str, value: Any, field: Field | None, depth: int) -> tuple[str, str]:
        code, text = self._elements(variable, "every", value, field, depth)
        return code, f"a list with every element {text}"

    def _elements(
        self, variable: str, quantifier: str, value: Any, field: Field | None, depth: int
    ) -> tuple[str, str]:
        if field is not None and field.kind in NO_LIST:
            raise Invalid(f"'{field.path}' is {article(field.kind)}, so it has no elements")
        self.variables += 1
        element = f"e{self.variables}"
        code, text = self._test(element, value, self._inside(field, "[]"), depth)
        looped = f"{quantifier}({code} for {element} in {variable})"
        return f"(isinstance({variable}, lists) and {looped})", text

    def _listed(
        self, access: str, values: list[Any], field: Field | None, depth: int
    ) -> tuple[str, str]:
        """A list with tables in it: as many elements, each of which is as its value asks."""
        variable = self._variable()
        places = itertools.count()

        def test(value: Any, inside: Field | None) -> tuple[str, str]:
            return self._test(f"{variable}[{next(places)}]", value, inside, depth + 1)

        tests = self._each(values, field, test)
        codes = [
            f"isinstance({variable} := {access}, lists)",
            f"len({variable}) == {len(values)}",
            *(code for code, _ in tests),
        ]
        return f"({' and '.join(codes)})", f"[{', '.join(text for _, text in tests)}]"

    def _fields(
        self, access: str, table: Mapping[str, Any], field: Field | None, depth: int
    ) -> tuple[str, str]:
        """A structure, some of whose fields are as `table` asks."""
        if not table:
            raise Invalid("an empty table", "name a field in it")

        def refuse(keys: tuple[str | int, ...], message: str, hint: str) -> None:
            raise Invalid(message, hint, keys)

        prefix = f"{field.path}." if field is not None else ""
        variable = self._variable()
        conditions = [*self.conditions(table, refuse, prefix, variable, depth)]
        codes = " and ".join(condition.code for condition in conditions)
        shown = (f"{one.field.removeprefix(prefix)} {one.expected}" for one in conditions)
        return (
            f"(isinstance({variable} := {access}, dict) and {codes})",
            f"with {' and '.join(shown)}",
        )

    def _any(self, variable: str, choices: Any, field: Field | None, depth: int) -> tuple[str, str]:
        if not isinstance(choices, list) or not choices:
            raise Invalid("must be a list with at least one value")
        if len(choices) > MOST_CHOICES:
            raise Invalid(f"must have at most {MOST_CHOICES} values")
        plain: list[Any] = []
        codes: list[str] = []
        texts: list[str] = []
        for number, choice in enumerate(choices):
            try:
                code, text = self._test(variable, choice, field, depth)
                texts.append(text)
                simple = isinstance(choice, (str, int, float)) and not is_expression(choice)
                simple = simple and not (kind_of(field) == "any" and isinstance(choice, str))
                if simple and choice == choice:
                    plain.append(message_value(choice, field))
                else:
                    codes.append(code)
            except Invalid as error:
                raise Invalid(error.message, error.hint, (number, *error.keys)) from None
        if plain:
            codes.append(self._among(variable, plain))
        shown = ", ".join(texts[:12]) + (", ..." if len(texts) > 12 else "")
        return f"({' or '.join(codes)})", f"one of {shown}"

    def _among(self, variable: str, values: list[Any]) -> str:
        unique = tuple(dict.fromkeys(values))
        if len(unique) <= 8:
            return f"{variable} in {self.constant(unique)}"
        # what cannot be looked up in a set (a list, a table) equals none of these
        return f"(isinstance({variable}, scalars) and {variable} in {self.constant(set(unique))})"

    def _not(self, variable: str, value: Any, field: Field | None, depth: int) -> tuple[str, str]:
        code, text = self._test(variable, value, field, depth)
        return f"({variable} is None or not ({code}))", f"not {text}"

    def _regex(self, variable: str, pattern: Any, field: Field | None) -> str:
        if field is not None and field.kind in NO_TEXT:
            raise Invalid(f"'{field.path}' is {article(field.kind)}, so no regex matches it")
        try:
            search = Pattern(pattern).search
        except PatternError as error:
            raise Invalid(str(error), error.hint, ("regex",)) from None
        text = self._variable()
        name = self.constant(search)
        return f"(({text} := as_text({variable})) is not None and {name}({text}))"


def _rounding(evaluate: Callable[..., Any], field: Field) -> Callable[..., Any]:
    def rounding(msg: Mapping[str, Any], device: DeviceView, t: float) -> Any:
        value = evaluate(msg, device, t)
        if field.kind == "enum":
            return field.round(value)
        try:
            return rounded(value, field)
        except LiteralError:
            return value  # what the field cannot hold equals no value of it

    return rounding
