"""What the fixture `simulation` gives: runs of scenarios in the hands of a test.

::

    async def test_it_retries(simulation):          # with pytest-trio
        async with simulation("scenarios/lossy.toml") as sim:
            read = await sim.wait_for("meter[0]", receives={"kind": "READ"}, within="5s")

    def test_it_polls(simulation):                  # a plain test
        with simulation("scenarios/lossy.toml") as sim:
            sim.wait_for("meter[0]", receives={"kind": "READ"}, within="5s")
"""

from __future__ import annotations

import shlex
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import trio

from iotsim.errors import IotsimError, MachineError
from iotsim.pytest_plugin import reports
from iotsim.pytest_plugin.scenarios import parameters_for, project_of
from iotsim.run.folder import slug
from iotsim.run.project import may_be_project
from iotsim.safetext import safe_line
from iotsim.scenario.loading import Overrides
from iotsim.testing.blocking import blocking_run
from iotsim.testing.building import build
from iotsim.testing.live import TEST_SEED, LiveOptions, LiveRun, RunFailed, live_run
from iotsim.testing.parts import in_seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager, AbstractContextManager

    from iotsim.scenario.model import Scenario
    from iotsim.testing.building import ScenarioSource
    from iotsim.testing.parts import Time

NO_TRIO = (
    "`async with simulation(...)` is for tests that run in trio, as with pytest-trio; "
    "in others, write `with simulation(...)`"
)


class Simulate:
    """Makes runs for one test. Called with a scenario it gives a `Simulation`, to be entered."""

    def __init__(self, request: pytest.FixtureRequest) -> None:
        self._request = request
        self._runs = 0
        reports.register(request.config)

    def __repr__(self) -> str:
        return "<simulation>"

    def __call__(
        self,
        scenario: ScenarioSource,
        *,
        changes: Mapping[str, Any] | None = None,
        impair: Mapping[str, Mapping[str, Any]] | None = None,
        fault: Mapping[str, Mapping[str, Any]] | None = None,
        gateway: Sequence[str] | None = None,
        parameters: Mapping[str, Any] | None = None,
        link: str | None = None,
        seed: int | None = None,
        duration: Time | None = None,
        tolerance: float | None = None,
        judge: bool = True,
    ) -> Simulation:
        """A run of `scenario`: a file's path, a text of more than one line, or tables as TOML would have
        them. Relative paths are looked for in pytest's rootdir and beside the test.

        `changes` are tables that win over the scenario's; `impair` and `fault` are further entries by their
        names, in force once they are begun. `gateway` is a command in the place of the scenario's,
        `parameters` are values of ``${NAME}``, the rest are as options of ``iotsim run``. `judge`: at the end
        of the block the run goes on to its end, and the test fails if it did not pass; without, it ends.
        """
        option = self._request.config.getoption

        def either(given: Any, name: str) -> Any:
            return option(f"iotsim_{name}") if given is None else given

        overrides = Overrides(
            link=either(link, "link"),
            gateway_command=None if gateway is None else tuple(map(str, gateway)),
            seed=either(seed, "seed"),
            tolerance=either(tolerance, "tolerance"),
            duration_s=None if duration is None else in_seconds(duration),
            parameters={name: _as_set(value) for name, value in (parameters or {}).items()},
        )
        item, config = self._request.node, self._request.config
        if may_be_project(config.rootpath):
            project = project_of(config)
            overrides = replace(
                overrides, protocols=project.protocols, default_tolerance=project.tolerance
            )
        folders = [item.path.parent, config.rootpath]
        if isinstance(scenario, (str, Path)) and "\n" not in str(scenario):
            folders.reverse()
        load = partial(
            build,
            scenario,
            folders=folders,
            changes=changes,
            impair=impair,
            fault=fault,
            overrides=overrides,
            default_parameters=lambda tables: parameters_for(tables, config),
            default_seed=TEST_SEED,
        )
        return Simulation(self, load, judge=judge)

    def options(self, scenario: Scenario, *, judge: bool) -> LiveOptions:
        """How to run `scenario`: where its results go, and what repeats it."""
        self._runs += 1
        config, node = self._request.config, self._request.node
        chosen = config.getoption("iotsim_results")
        if chosen:
            number = f"-{self._runs}" if self._runs > 1 else ""
            results = Path(chosen) / f"{slug(node.nodeid)}{number}"
        else:
            factory = self._request.getfixturevalue("tmp_path_factory")
            results = factory.mktemp(slug(scenario.path.stem))
        return LiveOptions(judge=judge, results=results, repeat=self.repeat(scenario.seed))

    def tell(self, sim: Any, raised: object) -> None:
        """The run is over: let the test's reports have its properties, and what the block has `raised` name
        its results."""
        node, result = self._request.node, getattr(sim.run, "result", None)
        if result is None:
            return
        repeat = self.repeat(result.seed)
        node.user_properties += {
            **dict(reports.properties(result, sim.folder)),
            "repeat": repeat,
        }.items()
        if isinstance(raised, Exception):
            raised.add_note(f"results: {safe_line(str(sim.folder))}\nrepeat:  {repeat}")

    def repeat(self, seed: int) -> str:
        """The command that repeats the test with this seed."""
        return shlex.join(["pytest", self._request.node.nodeid, "--iotsim-seed", str(seed)])

    def skip(self, error: MachineError) -> BaseException:
        """What skips the test on a machine that cannot run it, or is its error."""
        skipped = reports.unable(self._request.config, [str(error)])
        self._request.node.stash[reports.SKIPPED] = skipped
        return skipped


class Simulation:
    """A run to be entered: by ``async with`` in an event loop of trio's, or by ``with``."""

    def __init__(self, maker: Simulate, load: Callable[[], Scenario], *, judge: bool) -> None:
        self._maker = maker
        self._load = load
        self._judge = judge
        self._manager: Any = None
        self._sim: Any = None

    async def __aenter__(self) -> LiveRun:
        __tracebackhide__ = True
        try:
            trio.lowlevel.current_trio_token()
        except RuntimeError:
            raise pytest.fail.Exception(NO_TRIO, pytrace=False) from None
        scenario = self._loaded()
        options = self._maker.options(scenario, judge=self._judge)
        manager: AbstractAsyncContextManager[LiveRun] = live_run(scenario, options)
        self._manager = manager
        try:
            self._sim = await manager.__aenter__()
        except MachineError as error:
            raise self._maker.skip(error) from None
        sim: LiveRun = self._sim
        return sim

    async def __aexit__(self, *raised: object) -> bool | None:
        __tracebackhide__ = True
        try:
            ended: bool | None = await self._manager.__aexit__(*raised)
        except RunFailed as failed:
            raise explained(failed) from None
        finally:
            self._maker.tell(self._sim, raised[1])
        return ended

    def __enter__(self) -> Any:
        __tracebackhide__ = True
        scenario = self._loaded()
        options = self._maker.options(scenario, judge=self._judge)
        manager: AbstractContextManager[Any] = blocking_run(scenario, options)
        self._manager = manager
        try:
            self._sim = manager.__enter__()
        except MachineError as error:
            raise self._maker.skip(error) from None
        return self._sim

    def __exit__(self, *raised: object) -> bool | None:
        __tracebackhide__ = True
        try:
            ended: bool | None = self._manager.__exit__(*raised)
        except RunFailed as failed:
            raise explained(failed) from None
        finally:
            self._maker.tell(self._sim, raised[1])
        return ended

    def _loaded(self) -> Scenario:
        __tracebackhide__ = True
        try:
            return self._load()
        except (IotsimError, OSError) as error:  # which say all: where in our code, is no matter
            raise error.with_traceback(None) from None


def explained(failed: RunFailed) -> BaseException:
    """What makes a test fail with the explanation of its run, where that is what has failed."""
    return failed if failed.result is None else reports.Explained(failed.result, str(failed))


def _as_set(value: Any) -> str:
    """A value as ``--set`` takes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
