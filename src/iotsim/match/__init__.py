"""Expressions and matchers: what a scenario says about messages, compiled to Python functions.

An *expression* (the text behind ``=``) is parsed by Python's own parser, every node is held against
a whitelist, and what passes is translated to a function. A *matcher* (the table behind ``when``,
``receives`` or ``sends``) becomes one generated function, in which comparing a field with a literal
is a dictionary look-up and an ``==``. Both know why: an expression that fails names the field that
was missing, a matcher lists each field that differs.

Nothing of a scenario's text can run code. The generated functions hold only nodes that were made
here; texts enter them as constants.

Modules: `fieldpath` (dotted paths and schemas), `functions` (what expressions may call, with bounds),
`translate` (the whitelist), `expression`; `literal` (values as a field's wire type carries them),
`operators` (how conditions are written), `condition` (one field's condition as code and as text),
`writer` (which writes them), `ranges` (those with bounds), `runtime` (what the code calls), `usual`
(values that are written as texts), `pattern` (regular expressions), `matcher`; what `check` asks of
matchers: whether one is `implied` by another, whether any message is `possible`, and which is nearest
(`nearness`).

Alternatives considered: ``eval`` with emptied builtins, which attribute access walks out of; an
interpreter of the syntax tree (simpleeval), twenty times as slow; CEL, slower still and one more
language to learn; a tree of condition objects, which costs a call for each field.
"""

from __future__ import annotations

from iotsim.match.expression import (
    RESERVED_NAMES,
    DeviceView,
    Expression,
    Names,
    compile_expression,
)
from iotsim.match.matcher import Matcher, Mismatch, compile_match

__all__ = [
    "RESERVED_NAMES",
    "DeviceView",
    "Expression",
    "Matcher",
    "Mismatch",
    "Names",
    "compile_expression",
    "compile_match",
]
