"""Conditions on one field, as the text of a Python expression and as text for people.

The code refers to ``msg``, ``device`` and ``t``. Of a scenario's text, only the ``repr`` of plain
values enters it; all else comes in by way of a namespace, under names made here.

An absent field satisfies ``{ not = … }`` and ``{ exists = false }`` and nothing else. A field that
is there with the value None (construct's way to say that an optional part is not there) is absent.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from iotsim.errors import ExpressionError
from iotsim.match.expression import compile_expression
from iotsim.match.fieldpath import nearest, split
from iotsim.match.literal import LiteralError, article, integer_range, literal, render, rounded
from iotsim.match.pattern import Pattern, PatternError

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from iotsim.match.expression import DeviceView, Expression, Names
    from iotsim.protocol.fields import Field, Schema

    Report: TypeAlias = Callable[[tuple[str | int, ...], str, str], object]

OPERATORS = ("min", "max", "any", "regex", "not", "exists")
MOST_CHOICES = 10_000
DEEPEST = 8
NO_TEXT = ("int", "float", "bool", "struct", "flags", "array")


class Condition(NamedTuple):
    """A condition on `field`: `code` is true where it holds; `expected` completes "FIELD is …".

    ``equals`` holds the value that a field at the top level must equal, where the condition is no
    more than that; such a value can be looked up in a dictionary.
    """

    field: str
    code: str
    expected: str
    equals: tuple[Any] | None = None


class Invalid(Exception):  # noqa: N818
    """Internal: a condition that cannot be; `keys` lead to it from the field's own key."""

    def __init__(self, message: str, hint: str = "", keys: tuple[str | int, ...] = ()) -> None:
        self.message = message
        self.hint = hint
        self.keys = keys
        super().__init__(message)


def dig(msg: Any, steps: tuple[str | int, ...]) -> Any:
    """The value at a path that leads through arrays, or None."""
    for step in steps:
        if isinstance(msg, Mapping):
            msg = msg.get(step if isinstance(step, str) else str(step))
        elif isinstance(msg, (list, tuple)) and isinstance(step, int) and step < len(msg):
            msg = msg[step]
        else:
            return None
    return msg


def as_text(value: Any) -> str | None:
    """What a regex is held against: a text itself, bytes as hexadecimal digits, else nothing."""
    if isinstance(value, str):
        return value
    return value.hex() if isinstance(value, bytes) else None


class Writer:
    """Writes the conditions of one matcher, and keeps the namespace that their code needs."""

    def __init__(self, names: Names, schema: Schema | None) -> None:
        self.names = names
        self.schema = schema
        self.namespace: dict[str, Any] = {
            "__builtins__": {},
            "dig": dig,
            "as_text": as_text,
            "dict": dict,
            "isinstance": isinstance,
            "numbers": (int, float),
            "scalars": (int, float, str, bytes),
        }
        self.variables = 0

    def condition(self, path: str, value: Any, field: Field | None) -> Condition:
        code, expected = self._test(self._access(path), value, field, 0)
        return Condition(path, code, expected, _sole_value(path, value, field))

    def expression(self, text: str) -> Expression:
        try:
            return compile_expression(text, self.names, schema=self.schema)
        except ExpressionError as error:
            raise Invalid(str(error), error.hint) from None

    def _access(self, path: str) -> str:
        parts = split(path)
        if len(parts) > 1 and any(isinstance(part, int) for part in parts):
            return f"dig(msg, {parts!r})"
        steps = path.split(".")
        code = f"msg.get({steps[0]!r})"
        for step in steps[1:]:
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
        if isinstance(value, str) and value.startswith("="):
            code, text = self._operand(value, field)
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
        plain = _literal(value, field)
        if isinstance(plain, float) and math.isnan(plain):
            variable = self._variable()
            return f"({variable} := {access}) != {variable}", "nan"
        return f"{access} == {self.constant(plain)}", render(plain)

    def _operand(self, value: Any, field: Field | None) -> tuple[str, str]:
        """Code for a literal or an expression, rounded to the field's wire type, and its text."""
        if not (isinstance(value, str) and value.startswith("=")):
            plain = _literal(value, field)
            return self.constant(plain), render(plain)
        expression = self.expression(value[1:])
        if expression.constant:
            plain = _literal(expression.evaluate(None, None, 0.0), field)  # type: ignore[arg-type]
            return self.constant(plain), render(plain)
        evaluate: Callable[..., Any] = expression.evaluate
        if field is not None:
            evaluate = _rounding(evaluate, field)
        return f"{self.constant(evaluate)}(msg, device, t)", f"={expression.text}"

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
        variable = self._variable()
        codes: list[str] = []
        texts: list[str] = []
        if "min" in table or "max" in table:
            code, text = self._between(variable, table, field)
            codes.append(code)
            texts.append(text)
        for name, write in (("any", self._any), ("not", self._not)):
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

    def _between(
        self, variable: str, table: Mapping[str, Any], field: Field | None
    ) -> tuple[str, str]:
        if field is not None and field.kind not in ("int", "float"):
            raise Invalid(f"'{field.path}' is no number, so it has no min or max")
        bounds: dict[str, tuple[str, str]] = {}
        for name in ("min", "max"):
            if name not in table:
                continue
            value = table[name]
            formula = isinstance(value, str) and value.startswith("=")
            if not formula and (isinstance(value, bool) or not isinstance(value, (int, float))):
                raise Invalid("must be a number or an expression", keys=(name,))
            try:
                bounds[name] = self._operand(value, field if _fits(value, field) else None)
            except Invalid as error:
                raise Invalid(error.message, error.hint, (name, *error.keys)) from None
        low, high = bounds.get("min"), bounds.get("max")
        literals = all(isinstance(table.get(name), (int, float)) for name in ("min", "max"))
        if literals and table["min"] > table["max"]:
            raise Invalid("min is greater than max", keys=("min",))
        _check_reach(table, field)
        code = f"{low[0]} <= {variable}" if low else variable
        code += f" <= {high[0]}" if high else ""
        if low and high:
            text = f"{low[1]}..{high[1]}"
        else:
            text = f"at least {low[1]}" if low else f"at most {high[1]}" if high else ""
        return f"(isinstance({variable}, numbers) and {code})", text

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
                simple = isinstance(choice, (str, int, float)) and not _is_expression(choice)
                if simple and choice == choice:
                    plain.append(_literal(choice, field))
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


def _sole_value(path: str, value: Any, field: Field | None) -> tuple[Any] | None:
    """What `value` asks of a field at the top level, if that is to equal a plain value."""
    if "." in path or isinstance(value, dict) or _is_expression(value):
        return None
    plain = _literal(value, field)
    return (plain,) if isinstance(plain, (int, float, str, bytes)) and plain == plain else None


def _is_expression(value: Any) -> bool:
    return isinstance(value, str) and value.startswith("=")


def _check_reach(table: Mapping[str, Any], field: Field | None) -> None:
    """Invalid if no value of an integer field lies within these bounds."""
    if field is None or field.kind != "int":
        return
    lowest, highest = integer_range(field.wire)
    for name, beyond in (("min", highest), ("max", lowest)):
        bound = table.get(name)
        if isinstance(bound, (int, float)) and (
            bound > beyond if name == "min" else bound < beyond
        ):
            hint = f"{lowest:.0f} to {highest:.0f}"
            raise Invalid(f"no value of '{field.path}', which is {field.wire}", hint, (name,))


def _fits(bound: Any, field: Field | None) -> bool:
    """Whether a bound can be rounded to the field's type; it may lie outside of what that holds."""
    if field is None or _is_expression(bound):
        return field is not None
    try:
        literal(bound, field)
    except LiteralError:
        return False
    return True


def _literal(value: Any, field: Field | None) -> Any:
    try:
        return literal(value, field)
    except LiteralError as error:
        raise Invalid(str(error), error.hint) from None


def _rounding(evaluate: Callable[..., Any], field: Field) -> Callable[..., Any]:
    def rounding(msg: Mapping[str, Any], device: DeviceView, t: float) -> Any:
        value = evaluate(msg, device, t)
        try:
            return rounded(value, field)
        except LiteralError:
            return value  # what the field cannot hold equals no value of it

    return rounding
