"""Behavior files: loaded by path, and attached to a fleet.

A file is executed anew for each run (see `iotsim.userfile`), so that a second run in one process
starts afresh. Whatever is wrong with it becomes a ScenarioError with file and line.
"""

from __future__ import annotations

import difflib
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from iotsim import userfile
from iotsim.device.behavior import HANDLER_MARK, Device
from iotsim.device.reaction import NO_REPLY, NO_RULE, Reply
from iotsim.device.template import echo_fields
from iotsim.errors import Problem, ScenarioError
from iotsim.match import Names, compile_match
from iotsim.userfile import UserFileError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path
    from types import ModuleType

    from iotsim.device.behavior import Runtime
    from iotsim.device.fleet import Fleet, SimDevice
    from iotsim.device.reaction import Reaction, Responder
    from iotsim.device.spec import BehaviorSpec, FleetSpec
    from iotsim.match import Matcher


@contextmanager
def load_behavior(spec: BehaviorSpec) -> Iterator[type[Device]]:
    """The class that `spec` names, from its file; ScenarioError if that cannot be had.

    The file is executed anew each time. Within the context its module is found by its name, as
    dataclasses and pickle need it; afterwards nothing of it stays.
    """
    module = _execute(spec)
    try:
        yield _find_class(module, spec)
    finally:
        userfile.forget(module)


def _find_class(module: ModuleType, spec: BehaviorSpec) -> type[Device]:
    found = vars(module).get(spec.class_name)
    if found is None:
        classes = [name for name, value in vars(module).items() if _is_behavior(value)]
        close = difflib.get_close_matches(spec.class_name, classes, 1)
        hint = f"did you mean {close[0]!r}?" if close else ""
        if not close and classes:
            hint = f"it has {', '.join(classes)}"
        raise _failure(spec.file, 0, f"there is no class {spec.class_name!r}", hint)
    if not _is_behavior(found):
        hint = "write: from iotsim import Device"
        raise _failure(
            spec.file, 0, f"{spec.class_name} is no class derived from iotsim.Device", hint
        )
    behavior: type[Device] = found
    return behavior


def _is_behavior(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, Device) and value is not Device


def _execute(spec: BehaviorSpec) -> ModuleType:
    path = spec.file
    try:
        source = userfile.read(path)
    except UserFileError as error:
        # The scenario is to blame here, for naming this file.
        problem = Problem(f"the behavior {path}: {error}", spec.place, path="behavior")
        raise ScenarioError([problem]) from None
    try:
        return userfile.execute(path, source)
    except UserFileError as error:
        raise _failure(path, error.line, str(error), column=error.column) from error.__cause__


def _failure(path: Path, line: int, message: str, hint: str = "", column: int = 0) -> ScenarioError:
    return ScenarioError([Problem(message, str(path), line, column, hint=hint)])


class AttachedBehavior:
    """A behavior class at work for one fleet.

    ``has_run`` tells whether its devices need a task: then the simulation calls ``instance(device)`` at
    the device's boot and starts the ``run()`` of what it gets.
    """

    def __init__(self, behavior: type[Device], runtime: Runtime) -> None:
        self.behavior = behavior
        self.runtime = runtime
        self.has_run = behavior.run is not Device.run

    def instance(self, device: SimDevice) -> Device:
        """The instance for `device`, made at the first call; its ``__init__`` may raise."""
        instance = device.behavior
        if instance is None:
            instance = self.behavior.__new__(self.behavior)
            # Before __init__, so that it can use them, and need not call ours.
            instance._sim = device
            instance._runtime = self.runtime
            instance.__init__()  # type: ignore[misc]
            device.behavior = instance
        return instance


def attach_behavior(fleet: Fleet, behavior: type[Device], runtime: Runtime) -> AttachedBehavior:
    """Let `behavior` handle what no rule of `fleet` takes: its responders are compiled anew.

    The handlers' matches are compiled against the fleet's protocols. With several protocols a
    handler is for those that have its fields. ScenarioError names handlers that fit none.
    """
    attached = AttachedBehavior(behavior, runtime)
    services = fleet.spec.services
    by_service = match_handlers(behavior, fleet.spec)
    fleet.compile_responders(
        [
            _handling(handlers, service.protocol.echo, attached)
            for handlers, service in zip(by_service, services, strict=True)
        ]
    )
    return attached


def match_handlers(
    behavior: type[Device], spec: FleetSpec
) -> list[list[tuple[Matcher, Callable[..., Any]]]]:
    """For each service of the fleet, the handlers of `behavior` that are for it.

    ScenarioError names handlers that fit none.
    """
    services = spec.services
    by_service: list[list[tuple[Matcher, Callable[..., Any]]]] = [[] for _ in services]
    problems: list[Problem] = []
    for function, match in _handlers(behavior):
        wrong: list[Problem] = []
        fits = False
        for number, service in enumerate(services):
            try:
                matcher = compile_match(
                    match, service.protocol.delivered_schema, Names(spec.signals)
                )
            except ScenarioError as error:
                wrong += error.problems
            else:
                by_service[number].append((matcher, function))
                fits = True
        if not fits:
            code = function.__code__
            problems += [
                Problem(
                    problem.message,
                    code.co_filename,
                    code.co_firstlineno,
                    path=".".join(filter(None, (f"@on of {function.__qualname__}", problem.path))),
                    hint=problem.hint,
                )
                for problem in wrong
            ]
    if problems:
        raise ScenarioError(problems)
    return by_service


def _handlers(behavior: type[Device]) -> Iterator[tuple[Any, Mapping[str, Any]]]:
    """(function, match) of all handlers, those of the class itself before those it inherits."""
    seen: set[str] = set()
    for owner in behavior.__mro__:
        for name, value in vars(owner).items():
            if name not in seen:
                seen.add(name)
                for match in getattr(value, HANDLER_MARK, ()):
                    yield value, match


def _handling(
    handlers: Sequence[tuple[Matcher, Callable[..., Any]]],
    echo: Sequence[str],
    attached: AttachedBehavior,
) -> Responder:
    compiled = [(matcher.matches, function) for matcher, function in handlers]

    def respond(device: SimDevice, message: dict[str, Any], now: float) -> Reaction:
        for matches, function in compiled:
            if matches(message, device, now):
                instance = device.behavior or attached.instance(device)
                return _reaction(function, function(instance, message), message, echo)
        return NO_RULE

    return respond


def _reaction(
    function: Callable[..., Any], result: object, request: dict[str, Any], echo: Sequence[str]
) -> Reaction:
    """The reaction that a handler's result stands for; TypeError if it is none."""
    if result is None:
        return NO_REPLY
    if isinstance(result, dict):
        # A copy: the handler may keep what it returned, and change it later.
        reply = dict(result)
        echo_fields(echo, request, reply)
        return reply
    if isinstance(result, list) and all(isinstance(item, dict) for item in result):
        replies = [dict(item) for item in result]
        for reply in replies:
            echo_fields(echo, request, reply)
        return [Reply(0.0, reply) for reply in replies] or NO_REPLY
    raise TypeError(
        f"{function.__qualname__}() returned {type(result).__name__}: "
        f"it may return a dict, a list of dicts, or None"
    )
