"""Message templates, as Python source.

A template is a message in which expressions stand for some values. Rules and schedules are compiled
to Python functions, and this module writes the part of their source that makes the message: a dict
display with the constants in place and a call for each expression. Names and texts of the scenario
enter the source as the literals that `repr` makes of them; everything else is passed by reference
in the function's namespace. So no text of a scenario is ever parsed as code here.

Each call makes new dicts all the way down: the message goes to encoders, to events and to
expectations, which may keep it.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from iotsim.device.reaction import Raw
from iotsim.errors import Problem, ScenarioError
from iotsim.match import Expression

if TYPE_CHECKING:
    from iotsim.device.spec import MessageTemplate

MARKS = "__rules__"
"""In the namespace of a function: the numbers of lines, in order, and the rule that begins with each."""
_DEEPEST = 50
_LITERALS = (str, int, bytes, bool, type(None))


class Source:
    """A function in the making: its lines, and the objects that they refer to. ``evaluated`` is what
    expressions and matches in it are called with.

    With `by_clock`, the functions are for devices whose clock may be off (`iotsim.device.trouble`), and
    have ``device`` and ``now``: expressions are given the clock's time.
    """

    def __init__(self, header: str, *, by_clock: bool = False) -> None:
        self.lines = [header]
        self.namespace: dict[str, Any] = {"__builtins__": {}}
        self.evaluated = "(message, device, now)"
        if by_clock:
            self.evaluated = "(message, view, shown)"
            self.line(1, "view, shown = device.by_clock(now)")

    def line(self, indent: int, text: str) -> None:
        self.lines.append("    " * indent + text)

    def mark(self, text: str) -> None:
        """The lines that follow are of the rule that is called `text`: see `rule_behind`."""
        self.namespace.setdefault(MARKS, []).append((len(self.lines) + 1, text))

    def refer(self, prefix: str, value: object) -> str:
        """A name for `value` in the function."""
        name = f"{prefix}{len(self.namespace)}"
        self.namespace[name] = value
        return name

    def text(self) -> str:
        return "\n".join(self.lines) + "\n"

    def compile(self, name: str, filename: str) -> Any:
        """The function `name`, which the lines define."""
        exec(compile(self.text(), filename, "exec"), self.namespace)
        return self.namespace[name]


def rule_behind(error: BaseException) -> str:
    """The rule in whose lines an error was raised, as `Source.mark` has it; "" if it was in none."""
    traceback = error.__traceback__
    while traceback is not None:
        marks = traceback.tb_frame.f_globals.get(MARKS, ())
        number = bisect(marks, traceback.tb_lineno, key=lambda mark: mark[0])
        if number and (text := marks[number - 1][1]):
            found: str = text
            return found
        traceback = traceback.tb_next
    return ""


def value_source(source: Source, value: object, depth: int = 0) -> str:
    """A Python expression for `value`, in a function that has ``message``, ``device``, ``now``."""
    if isinstance(value, Expression):
        return f"{source.refer('expression', value.evaluate)}{source.evaluated}"
    if depth > _DEEPEST:
        raise ScenarioError([Problem("a message is nested too deeply")])
    if isinstance(value, Mapping):
        items = (
            f"{name!r}: {value_source(source, item, depth + 1)}" for name, item in value.items()
        )
        return f"{{{', '.join(items)}}}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(value_source(source, item, depth + 1) for item in value)}]"
    if type(value) in _LITERALS:
        return repr(value)
    return source.refer("constant", value)


def write_message(
    source: Source, indent: int, target: str, template: MessageTemplate, echo: Sequence[str] = ()
) -> None:
    """Write the lines that build the message and name it `target`.

    The fields `echo` are taken from ``message``, where it has them and the template does not; what is raw
    takes none.
    """
    if template.raw:
        data = value_source(source, template.fields["raw"])
        source.line(indent, f"{target} = {source.refer('Raw', Raw)}({data})")
        return
    source.line(indent, f"{target} = {value_source(source, template.fields)}")
    for path in echo:
        if "." in path:
            copy = source.refer("copy", copy_nested)
            source.line(indent, f"{copy}({tuple(path.split('.'))!r}, message, {target})")
        elif path not in template.fields:
            source.line(indent, f"if {path!r} in message: {target}[{path!r}] = message[{path!r}]")


def copy_nested(steps: Sequence[str], request: Mapping[str, Any], reply: dict[str, Any]) -> None:
    """Copy the field at `steps` from `request`, if it has it, to `reply`, if that has not."""
    value: Any = request
    for step in steps:
        if not isinstance(value, Mapping) or step not in value:
            return
        value = value[step]
    owner: Any = reply
    for step in steps[:-1]:
        owner = owner.setdefault(step, {})
        if not isinstance(owner, dict):
            return
    owner.setdefault(steps[-1], value)


def echo_fields(echo: Sequence[str], request: Mapping[str, Any], reply: dict[str, Any]) -> None:
    """What `write_message` writes for `echo`, as a plain function."""
    for path in echo:
        copy_nested(path.split("."), request, reply)
