"""Records the constructs that a test suite uses, with the bytes and values that it gives them."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import inspect
import io
import os
import random
import sys
import tempfile
import types
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

from construct import Construct, SizeofError
from tests.protocol.conformance import archive

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MODULES = ("test_core", "test_expr", "test_compiler", "test_benchmarks")


@dataclass
class Case:
    """A construct under test, with what it was given.

    ``params`` are the entries of its context: what the suite passes as keywords to parse and build.
    """

    name: str
    construct: Any
    params: dict[str, Any] = field(default_factory=dict)
    datas: list[bytes] = field(default_factory=list)
    values: list[Any] = field(default_factory=list)


def clone(value: Any) -> Any:
    """A copy of `value` that no engine can change for the other: its containers are copied."""
    if type(value).__name__ in ("dict", "Container"):
        return type(value)((key, clone(item)) for key, item in value.items())
    if type(value).__name__ in ("list", "ListContainer"):
        return type(value)(clone(item) for item in value)
    return value


class Recorder:
    """The calls of parse and build that are made by tests, not by constructs."""

    def __init__(self) -> None:
        self.cases: dict[tuple[int, str], Case] = {}
        self.seen: set[tuple[int, str, str]] = set()
        self.depth = 0
        self.test = ""
        self.constructs: dict[int, int] = {}

    def case(self, construct: Any, params: dict[str, Any]) -> Case:
        number = self.constructs.setdefault(id(construct), len(self.constructs) + 1)
        key = (id(construct), repr(params))
        if key not in self.cases:
            label = f"{self.test}#{number}" + (f" {params}" if params else "")
            self.cases[key] = Case(label, construct, dict(params))
        return self.cases[key]

    def note(self, construct: Any, kind: str, item: Any, params: dict[str, Any]) -> None:
        case = self.case(construct, params)
        key = (id(case), kind, repr(item))
        if key in self.seen:
            return
        self.seen.add(key)
        (case.datas if kind == "data" else case.values).append(clone(item))

    @contextlib.contextmanager
    def recording(self) -> Iterator[None]:
        def recorded(name: str, note: Callable[..., None]) -> Any:
            original = getattr(Construct, name)

            def method(construct: Any, *args: Any, **params: Any) -> Any:
                if not self.depth:
                    note(construct, args, params)
                self.depth += 1
                try:
                    return original(construct, *args, **params)
                finally:
                    self.depth -= 1

            return mock.patch.object(Construct, name, method)

        def parse(construct: Any, args: Any, params: Any) -> None:
            self.note(construct, "data", bytes(args[0]), params)

        def parse_stream(construct: Any, args: Any, params: Any) -> None:
            if isinstance(args[0], io.BytesIO):
                self.note(construct, "data", args[0].getvalue()[args[0].tell() :], params)

        def build(construct: Any, args: Any, params: Any) -> None:
            self.note(construct, "value", args[0], params)

        with (
            recorded("parse", parse),
            recorded("parse_stream", parse_stream),
            recorded("build", build),
            recorded("build_stream", build),
        ):
            yield


def helpers() -> types.ModuleType:
    """What the suite imports of a module of its own that is not in the archive."""

    def raises(function: Any, *args: Any, **keywords: Any) -> Any:
        try:
            return function(*args, **keywords)
        except Exception as error:
            return type(error)

    def common(
        construct: Any, data: bytes, value: Any, size: Any = SizeofError, **params: Any
    ) -> None:
        assert construct.parse(data, **params) == value
        assert construct.build(value, **params) == data
        assert raises(construct.sizeof, **params) == size

    def may_fail(test: Any) -> Any:
        test.may_fail = True
        return test

    module = types.ModuleType("tests.declarativeunittest")
    module.raises = raises  # type: ignore[attr-defined]
    module.common = common  # type: ignore[attr-defined]
    module.xfail = lambda *_, **__: may_fail  # type: ignore[attr-defined]
    module.ident = lambda value: value  # type: ignore[attr-defined]
    module.devzero = io.BytesIO(bytes(64))  # type: ignore[attr-defined]
    for name in ("collections", "hashlib", "io", "itertools", "math", "os", "random"):
        setattr(module, name, importlib.import_module(name))
    return module


@contextlib.contextmanager
def seclusion() -> Iterator[None]:
    """What the tests write goes nowhere, and chance is the same each time."""
    chance = random.Random(1)
    state = random.getstate()
    here = Path.cwd()
    with (
        tempfile.TemporaryDirectory() as folder,
        contextlib.redirect_stdout(io.StringIO()),
        warnings.catch_warnings(),
        mock.patch.object(os, "urandom", chance.randbytes),
        mock.patch("pdb.post_mortem"),
    ):
        warnings.simplefilter("ignore")
        random.seed(1)
        os.chdir(folder)
        try:
            yield
        finally:
            os.chdir(here)
            random.setstate(state)


def load(path: Path) -> types.ModuleType:
    spec = importlib.util.spec_from_file_location(f"tests.{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[module.__name__] = module
    spec.loader.exec_module(module)
    return module


def once(call: Callable[..., Any], *args: Any, **keywords: Any) -> Any:
    """Stands for the fixture `benchmark`."""
    return call(*args, **keywords)


@dataclass
class Suite:
    """The cases of a suite, and its tests that failed, with the reason."""

    cases: list[Case]
    tests: int
    failed: dict[str, str]


def record() -> Suite:
    """Runs construct's own tests; raises `archive.UnreachableError`."""
    folder = archive.suite()
    if str(archive.EXTRAS) not in sys.path:
        sys.path.append(str(archive.EXTRAS))
    names = ["tests.declarativeunittest", *(f"tests.{name}" for name in MODULES)]
    before = {name: sys.modules.pop(name, None) for name in names}
    sys.modules["tests.declarativeunittest"] = helpers()
    recorder = Recorder()
    failed = {}
    tests = 0
    try:
        with seclusion(), recorder.recording():
            for name in MODULES:
                module = load(folder / f"{name}.py")
                for test, function in inspect.getmembers(module, inspect.isfunction):
                    if not test.startswith("test_") or function.__module__ != module.__name__:
                        continue
                    recorder.test = f"{name}.{test}"
                    tests += 1
                    recorder.constructs.clear()
                    arguments = inspect.signature(function).parameters
                    try:
                        function(*[once for _ in arguments])
                    except Exception as error:
                        if not hasattr(function, "may_fail"):
                            failed[recorder.test] = f"{type(error).__name__}: {error}"
    finally:
        for name in names:
            sys.modules.pop(name, None)
            if (module := before[name]) is not None:
                sys.modules[name] = module
    return Suite(list(recorder.cases.values()), tests, failed)
