"""What a run has before its event loop: a folder, the gateway's launch, and processes best made there.

Processes are forked before there is an event loop or a thread, which both forbid it; and the helper of
the testbed makes the namespaces while fleets and event loop are still being made.
"""

from __future__ import annotations

import tempfile
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from iotsim.errors import IotsimError
from iotsim.results.fold import result_of
from iotsim.run.failure import sole_cause, with_lesser_way, write_failure
from iotsim.run.folder import RESULTS, ResultsFolder, open_results
from iotsim.run.guard import guard
from iotsim.run.html import leave_page
from iotsim.run.launch import prepare_launch
from iotsim.run.limit import stop_counting
from iotsim.run.northbound.files import prepare_northbound
from iotsim.run.report import run_started
from iotsim.run.shards.process import WorkerProcess, dismiss_workers, fork_workers
from iotsim.run.site import make_plan, queue_count, spawn_helper
from iotsim.simulation.journal import EVERYTHING, Recording
from iotsim.simulation.simulation import users_files
from iotsim.testbed.privileges import drop_privileges
from iotsim.testbed.programs import require_programs
from iotsim.testbed.timescale import TimeScale, check_reach

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from iotsim.events import EventSink
    from iotsim.protocol.definition import Protocol
    from iotsim.run.launch import Launch
    from iotsim.run.northbound.files import NorthboundFiles
    from iotsim.scenario.model import Scenario
    from iotsim.simulation.watchdog import Rescue
    from iotsim.testbed.bed import Helper
    from iotsim.testbed.plan import TestbedPlan


@dataclass(frozen=True)
class RunOptions:
    """How to run, apart from what the scenario says.

    ``files``: leave results on disk, in `out` or where `open_results` puts them, below `results`; without,
    the result and what `watch` was given are all there is. ``watch`` are called with every batch of events.
    ``drop_privileges``: give up, for good and for the whole process, what only the set-up needed.
    ``own_process``: the process is there for this run alone, and may end with it where code of the user's
    leaves no other way.
    ``live``: somebody watches how it goes on, and `Crew.progress` tells all that it can.
    ``words`` are the options of the command line that repeat the run. ``documents`` are names of
    `iotsim.run.documents` that are to be made at its end.
    """

    out: Path | ResultsFolder | None = None
    results: Path = RESULTS
    files: bool = True
    watch: Sequence[EventSink] = ()
    serve: bool = False
    drop_privileges: bool = False
    own_process: bool = False
    recording: Recording = EVERYTHING
    live: bool = False
    words: tuple[str, ...] = ()
    gateway_given: bool = False
    documents: tuple[str, ...] = ()

    @property
    def document_files(self) -> list[str]:
        """The files of ``documents``."""
        if not self.documents or not self.files:
            return []
        from iotsim.run.documents import DOCUMENTS

        return [DOCUMENTS[name].file for name in self.documents]


@dataclass(frozen=True)
class Preparation:
    """What a run has before its event loop: a folder, and processes that are best made there."""

    results: ResultsFolder
    workers: Sequence[WorkerProcess] = ()
    launch: Launch | None = None
    northbound: NorthboundFiles | None = None
    plan: TestbedPlan | None = None
    helper: Helper | None = None
    rescue: Rescue | None = None
    time_scale: TimeScale | None = None

    @property
    def folder(self) -> Path:
        return self.results.path


def _protocols(scenario: Scenario) -> dict[str, Protocol]:
    services = [service for fleet in scenario.fleets for service in fleet.services]
    return {service.protocol.name: service.protocol for service in services}


@contextmanager
def prepared(
    scenario: Scenario, options: RunOptions, *, fork: bool = True
) -> Iterator[Preparation]:
    """Prepare a run. What goes wrong until the end of the block is told in its results, too.

    `fork`: make the processes of several queues, which an event loop or a thread would forbid.
    """
    with ExitStack() as stack:
        if options.files:
            results = stack.enter_context(
                open_results(scenario.path.stem, options.out, options.results)
            )
            results.protocols = _protocols(scenario)
            stack.callback(leave_page, results)
        else:
            temporary = stack.enter_context(tempfile.TemporaryDirectory(prefix="iotsim-"))
            results = ResultsFolder(Path(temporary))
        folder = results.path

        def fail(cause: BaseException) -> None:
            if options.files:
                begun = result_of(run_started(scenario, options, time.time()), [])
                write_failure(results, begun, cause)

        def drop() -> None:
            if options.drop_privileges:
                drop_privileges(folder, *scenario.folders)

        try:
            require_programs(scenario.requires)
            launch = prepare_launch(scenario, results, gateway_given=options.gateway_given)
            user = None if launch is None else launch.user
            northbound = prepare_northbound(scenario, results, user)
            time_scale = None
            if launch is not None and scenario.pace != 1:
                check_reach(launch.command, launch.env, launch.cwd, scenario.pace)
                time_scale = TimeScale(scenario.pace, launch.user)
                stack.callback(time_scale.close)
                launch = replace(launch, env=time_scale.environment(launch.env))
            queues = queue_count(scenario)
            workers: list[WorkerProcess] = []
            if queues > 1:
                if not fork:
                    raise IotsimError(
                        "several queues need a process each, made before the event loop: "
                        "use run_scenario, or one queue"
                    )
                workers = fork_workers(scenario, folder, queues)
                stack.callback(dismiss_workers, workers)
            rescue = None
            if fork and options.own_process and not workers:
                # Before the helper, whose sockets it must not hold open.
                files, _ = users_files(scenario)
                rescue = stack.enter_context(guard(files, scenario.tolerance, fail, begin=drop))
            plan = make_plan(scenario, folder, launch)
            helper = None if plan is None else spawn_helper(plan)
            if helper is not None:
                stack.callback(helper.close)
            yield Preparation(
                results, workers, launch, northbound, plan, helper, rescue, time_scale
            )
        except BaseException as error:
            stop_counting()  # nothing is to disturb what is left of it
            cause = with_lesser_way(sole_cause(error), scenario)
            fail(cause)
            if isinstance(cause, (IotsimError, KeyboardInterrupt)):
                raise cause from None
            raise
