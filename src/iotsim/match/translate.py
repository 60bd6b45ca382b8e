"""Translation of expressions: each node of the syntax tree is on a whitelist, or refused."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any, NamedTuple

from iotsim.errors import ExpressionError
from iotsim.match.fieldpath import dotted, field_hint, find_field, nearest
from iotsim.match.functions import FUNCTIONS, OPERATORS

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from iotsim.match.fieldpath import Steps
    from iotsim.protocol.fields import Schema

DEEPEST = 40
MOST_NODES = 400
DEVICE_ATTRIBUTES = ("index", "name", "address")
RESERVED_NAMES = frozenset(
    {"msg", "state", "device", "t", "True", "False", "None", "and", "or", "not", "in", "if", "else"}
    | FUNCTIONS.keys()
)
"""What a signal cannot be called."""

MESSAGES = {"msg": "message", "request": "request", "north": "northbound message"}
"""The names of messages, and what people call them."""

BINARY = {
    node.__name__
    for node in (
        *(ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod, ast.Pow),
        *(ast.LShift, ast.RShift, ast.BitAnd, ast.BitOr, ast.BitXor),
    )
}
COMPARE = (ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.In, ast.NotIn)
FLOAT = "float"
SMALL = "small"  # an int of few bits
ANY = ""


class Names(NamedTuple):
    """What expressions can name of a device: its `signals`, and what there is in its `state`.

    None for the latter: that is not known. `request` is the schema of what the device asks, where a
    message may be the answer; None where there is none. `north` is that of a message on the gateway's
    other side, which is held against one of a device; its numbers are JSON's, so that all numbers are
    compared as doubles.
    """

    signals: Collection[str] = ()
    state: Collection[str] | None = None
    request: Schema | None = None
    north: Schema | None = None

    def lack_state(self, name: str) -> bool:
        return self.state is not None and name not in self.state

    def state_hint(self, name: str) -> str:
        """What was probably meant by `name`, which the state lacks."""
        return nearest(name, self.state or ()) or "give it a first value in 'state'"


NOTHING_KNOWN = Names()


class Translator:
    """Turns the nodes of one expression into those of the function that evaluates it."""

    def __init__(self, text: str, names: Names, has_message: bool, schema: Schema | None) -> None:
        self.text = text
        self.names = names
        self.has_message = has_message
        self.schema = schema
        self.constant = True
        self.accesses: list[tuple[str, Steps]] = []
        self.nodes = 0

    def error(self, reason: str, hint: str = "") -> ExpressionError:
        return ExpressionError(reason, self.text, hint=hint)

    def translate(self, node: ast.expr, depth: int) -> tuple[ast.expr, str]:
        """The translated node, and what is known of the type of its value."""
        try:
            return self._translate(node, depth)
        except ExpressionError as error:
            if not error.column:  # the innermost node that is wrong
                line = lines_of(self.text)[node.lineno - 1].encode()
                characters = len(line[: node.col_offset].decode(errors="replace"))
                error.column = place(self.text, node.lineno, characters) + 1
            raise

    def _translate(self, node: ast.expr, depth: int) -> tuple[ast.expr, str]:
        self.nodes += 1
        if depth > DEEPEST or self.nodes > MOST_NODES:
            raise self.error("too large or nested too deeply")
        translate_node = HANDLERS.get(type(node))
        if translate_node is None:
            raise self.error(f"{_describe(node)} is not allowed in an expression")
        return translate_node(self, node, depth + 1)

    def _constant(self, node: ast.Constant, depth: int) -> tuple[ast.expr, str]:
        value = node.value
        if isinstance(value, float):
            return ast.Constant(value), FLOAT
        if value is None or isinstance(value, (int, str, bytes)):
            small = isinstance(value, int) and value.bit_length() <= 64
            return ast.Constant(value), SMALL if small else ANY
        raise self.error(f"the literal {str(value)[:40]} is not allowed in an expression")

    def _binary(self, node: ast.BinOp, depth: int) -> tuple[ast.expr, str]:
        operator = type(node.op).__name__
        if operator not in BINARY:
            raise self.error("the operator @ is not allowed in an expression")
        left, left_kind = self.translate(node.left, depth)
        right, right_kind = self.translate(node.right, depth)
        kinds = {left_kind, right_kind}
        if self._bounded(operator, left_kind, kinds):
            kind = FLOAT if FLOAT in kinds and operator in ("Add", "Sub", "Mult") else ANY
            return ast.BinOp(left, node.op, right), kind
        return helper(operator, left, right), ANY

    def _bounded(self, operator: str, left: str, kinds: set[str]) -> bool:
        """Whether the result cannot grow, so that Python's own operator can be taken."""
        if operator not in OPERATORS:
            return True
        if operator in ("Add", "Sub"):
            return kinds != {ANY}
        if operator == "Mult":
            return FLOAT in kinds
        return operator == "Mod" and left != ANY

    def _unary(self, node: ast.UnaryOp, depth: int) -> tuple[ast.expr, str]:
        operand, kind = self.translate(node.operand, depth)
        return ast.UnaryOp(node.op, operand), ANY if isinstance(node.op, ast.Not) else kind

    def _boolean(self, node: ast.BoolOp, depth: int) -> tuple[ast.expr, str]:
        values = [self.translate(value, depth)[0] for value in node.values]
        return ast.BoolOp(node.op, values), ANY

    def _compare(self, node: ast.Compare, depth: int) -> tuple[ast.expr, str]:
        operands = [self.translate(node.left, depth)[0]]
        for operator, operand in zip(node.ops, node.comparators, strict=True):
            if not isinstance(operator, COMPARE):
                raise self.error("'is' is not allowed in an expression", "write '=='")
            whole = isinstance(operand, ast.Name) and operand.id in ("msg", "state")
            if whole and isinstance(operator, (ast.In, ast.NotIn)):
                operands.append(self._root(operand.id))  # type: ignore[attr-defined]
            else:
                operands.append(self.translate(operand, depth)[0])
        if self.names.north is not None and len(operands) == 2:
            if isinstance(node.ops[0], ast.Eq):
                return helper("doubles", *operands), ANY
            if isinstance(node.ops[0], ast.NotEq):
                return ast.UnaryOp(ast.Not(), helper("doubles", *operands)), ANY
        return ast.Compare(operands[0], node.ops, operands[1:]), ANY

    def _conditional(self, node: ast.IfExp, depth: int) -> tuple[ast.expr, str]:
        test, body, otherwise = (
            self.translate(part, depth) for part in (node.test, node.body, node.orelse)
        )
        kind = body[1] if body[1] == otherwise[1] else ANY
        return ast.IfExp(test[0], body[0], otherwise[0]), kind

    def _sequence(self, node: ast.List, depth: int) -> tuple[ast.expr, str]:
        items = [self.translate(item, depth)[0] for item in node.elts]
        return helper("list", ast.Tuple(items, ast.Load())), ANY

    def _call(self, node: ast.Call, depth: int) -> tuple[ast.expr, str]:
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        if name not in FUNCTIONS:
            shown = f"'{name}' is no function here" if name else "only functions can be called"
            raise self.error(
                shown, nearest(name, FUNCTIONS) or f"functions: {', '.join(FUNCTIONS)}"
            )
        if node.keywords:
            raise self.error(f"'{name}' takes no keyword arguments")
        _, least, most = FUNCTIONS[name]
        if not least <= len(node.args) <= most:
            count = f"{least}" if least == most else f"{least} to {most}"
            raise self.error(f"'{name}' takes {count} arguments, not {len(node.args)}")
        arguments = [self.translate(argument, depth)[0] for argument in node.args]
        kind = FLOAT if name == "float" else SMALL if name == "len" else ANY
        return helper(name, *arguments), kind

    def _name(self, node: ast.Name, depth: int) -> tuple[ast.expr, str]:
        name = node.id
        if name == "t":
            self.constant = False
            return variable("t"), FLOAT
        if name in self.names.signals:
            self.constant = False
            signal = ast.Attribute(variable("device"), "signal", ast.Load())
            return ast.Call(signal, [ast.Constant(name), variable("t")], []), FLOAT
        if name in ("msg", "state", "device"):
            raise self.error(f"'{name}' alone is no value", f"write '{name}.NAME'")
        if name in FUNCTIONS:
            raise self.error(f"'{name}' is a function", f"write '{name}(...)'")
        known = {*self.names.signals, "state", "device", "t", *FUNCTIONS}
        if self.has_message:
            known.add("msg")
        hint = nearest(name, known) or f"names: {', '.join(sorted(known - FUNCTIONS.keys()))}"
        raise self.error(f"unknown name '{name[:100]}'", hint)

    def _attribute(self, node: ast.Attribute, depth: int) -> tuple[ast.expr, str]:
        if isinstance(node.value, ast.Name) and node.value.id == "device":
            if node.attr not in DEVICE_ATTRIBUTES:
                hint = nearest(node.attr, DEVICE_ATTRIBUTES) or "it has index, name and address"
                raise self.error(f"a device has no '{node.attr[:100]}'", hint)
            self.constant = False
            kind = SMALL if node.attr == "index" else ANY
            return ast.Attribute(variable("device"), node.attr, ast.Load()), kind
        return self._access(node, depth), ANY

    def _subscript(self, node: ast.Subscript, depth: int) -> tuple[ast.expr, str]:
        if _root_of(node) is not None:
            return self._access(node, depth), ANY
        value, _ = self.translate(node.value, depth)
        return ast.Subscript(value, self._index(node.slice, depth), ast.Load()), ANY

    def _index(self, node: ast.expr, depth: int) -> ast.expr:
        if not isinstance(node, ast.Slice):
            return self.translate(node, depth)[0]
        lower, upper, step = (
            None if part is None else self.translate(part, depth)[0]
            for part in (node.lower, node.upper, node.step)
        )
        return ast.Slice(lower, upper, step)

    def _root(self, name: str) -> ast.expr:
        self.constant = False
        if name == "state":
            return ast.Attribute(variable("device"), "state", ast.Load())
        if name == "request":
            if self.names.request is None:
                hint = "it is what a message answers: in rules, and of what devices send"
                raise self.error("there is no 'request' here", hint)
            return ast.Attribute(variable("device"), "asked", ast.Load())
        if name == "north":
            if self.names.north is None:
                hint = "it is what came up, in the 'match' of 'delivered' and 'latency'"
                raise self.error("there is no 'north' here", hint)
            return ast.Attribute(variable("device"), "north", ast.Load())
        if not self.has_message:
            raise self.error("there is no message here, so no 'msg'")
        return variable("msg")

    def _access(self, node: ast.expr, depth: int) -> ast.expr:
        """``msg.a.b[0].c`` or ``state.a`` as look-ups."""
        root = _root_of(node)
        if root is None:
            north = "" if self.names.north is None else " north,"
            raise self.error(f"only msg, request,{north} state and device have attributes")
        chain: list[ast.Attribute | ast.Subscript] = []
        while isinstance(node, (ast.Attribute, ast.Subscript)):
            chain.append(node)
            node = node.value
        if len(chain) > DEEPEST:
            raise self.error("too large or nested too deeply")
        result = self._root(root)
        steps: list[str | int] = []
        known = True  # up to an index that is not constant
        for part in reversed(chain):
            if isinstance(part, ast.Attribute):
                index: ast.expr = ast.Constant(part.attr)
                if part.attr.startswith("_"):
                    raise self.error(f"the name '{part.attr[:100]}' is private")
            else:
                index = self._index(part.slice, depth)
            if known and isinstance(index, ast.Constant) and isinstance(index.value, (str, int)):
                steps.append(index.value)
            else:
                known = False
            result = ast.Subscript(result, index, ast.Load())
        self.accesses.append((root, tuple(steps)))
        if root == "state" and steps and self.names.lack_state(str(steps[0])):
            name = str(steps[0])[:100]
            raise self.error(f"the state has no '{name}'", self.names.state_hint(name))
        schemas = {
            "msg": self.schema,
            "request": self.names.request,
            "north": self.names.north,
        }
        schema = schemas.get(root)
        if steps and schema is not None:
            path = dotted(tuple(steps))
            if find_field(schema, path) is None:
                raise self.error(
                    f"the {MESSAGES[root]} has no field '{path[:100]}'", field_hint(schema, path)
                )
        return result


def _root_of(node: ast.expr) -> str | None:
    while isinstance(node, (ast.Attribute, ast.Subscript)):
        node = node.value
    roots = (*MESSAGES, "state")
    return node.id if isinstance(node, ast.Name) and node.id in roots else None


def lines_of(text: str) -> list[str]:
    """The lines of `text` as Python's parser counts them, each with its end."""
    return [line.decode() for line in text.encode().splitlines(keepends=True)]


def place(text: str, line: int, characters: int) -> int:
    """Where in `text` so many characters of the line `line`, which counts from 1, are behind one."""
    return sum(map(len, lines_of(text)[: line - 1])) + characters


def variable(name: str) -> ast.expr:
    return ast.Name(name, ast.Load())


def helper(name: str, *arguments: ast.expr) -> ast.expr:
    return ast.Call(variable("_" + name), list(arguments), [])


def _describe(node: ast.expr) -> str:
    names = {
        ast.Lambda: "lambda",
        ast.NamedExpr: "':='",
        ast.JoinedStr: "an f-string",
        ast.Starred: "'*'",
        ast.Dict: "a dictionary",
        ast.Set: "a set",
        ast.Await: "await",
        ast.Yield: "yield",
        ast.YieldFrom: "yield",
    }
    return names.get(type(node), "a comprehension" if hasattr(node, "generators") else "this")


HANDLERS: dict[type[ast.expr], Callable[[Translator, Any, int], tuple[ast.expr, str]]] = {
    ast.Constant: Translator._constant,
    ast.BinOp: Translator._binary,
    ast.UnaryOp: Translator._unary,
    ast.BoolOp: Translator._boolean,
    ast.Compare: Translator._compare,
    ast.IfExp: Translator._conditional,
    ast.List: Translator._sequence,
    ast.Tuple: Translator._sequence,
    ast.Call: Translator._call,
    ast.Name: Translator._name,
    ast.Attribute: Translator._attribute,
    ast.Subscript: Translator._subscript,
}
