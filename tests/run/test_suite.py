"""Suites whose runs are functions in child processes: who proves what, and what the end tells."""

from __future__ import annotations

import errno
import faulthandler
import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest

from iotsim.cli.suiteview import print_summary
from iotsim.errors import IotsimError, ScenarioError
from iotsim.results.result import RunResult
from iotsim.results.suite import decode_suite
from iotsim.run import folder as folders
from iotsim.run import forkserver, inside
from iotsim.run import suite as suites
from iotsim.run.folder import ResultsFolder, open_results
from iotsim.run.memory import Memory
from iotsim.run.suite import run_suite
from iotsim.run.suitefolder import name_folders
from iotsim.run.suitejobs import Job, SuiteOptions, parse_jobs
from iotsim.safetext import safe_line

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

    from iotsim.results.suite import SuiteResult
    from iotsim.run.suite import Suite
    from iotsim.run.suitejobs import Turn


pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")


def test_folders_are_named_by_what_differs(tmp_path: Path) -> None:
    base = tmp_path / ("x" * 100)
    files = [base / "a.toml", base / "deeper" / "a.toml", base / "deeper-a.toml"]
    assert list(name_folders(files).values()) == ["a", "deeper-a", "deeper-a_2"]


def test_the_same_names_in_different_folders(tmp_path: Path) -> None:
    files = [tmp_path / name / "x.toml" for name in ("one", "two")]
    assert list(name_folders(files).values()) == ["one-x", "two-x"]


def test_long_names_that_begin_alike(tmp_path: Path) -> None:
    files = [tmp_path / f"{'y' * 80}{end}.toml" for end in "ab"]
    names = list(name_folders(files).values())
    assert len(set(names)) == 2


def test_jobs() -> None:
    assert parse_jobs("3") == 3
    assert parse_jobs("auto") >= 2
    for text in ("0", "-1", "x", "", "10000", "٣"):
        with pytest.raises(ScenarioError, match="a number from 1 to 9999, or auto"):
            parse_jobs(text)


def hand_over(verdict: str, reason: str = "", name: str = "n", status: int | None = None) -> int:
    """What a run does at its end: it leaves a result, and ends with the status that goes with it."""
    inside.hand_over(
        RunResult(
            scenario=name,
            path=name,
            seed=7,
            verdict=verdict,
            reason=reason,
            repeat=f"iotsim run {name} --seed 7",
        )
    )
    codes = {"passed": 0, "failed": 1, "error": 2, "skipped": 3, "inconclusive": 4, "empty": 5}
    return codes[verdict] if status is None else status


class PlainView:
    """Prints what each run printed, below its name and verdict, in the order of the jobs."""

    def __init__(self) -> None:
        self._names: dict[Turn, str] = {}
        self._held: dict[Turn, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for turn in sorted(self._held):
            print(self._held.pop(turn), end="")

    def begun(self, turn: Turn, name: str) -> None:
        self._names[turn] = name

    def progress(self, turn: Turn, text: str) -> None:
        pass

    def ended(
        self, turn: Turn, result: RunResult, folder: Path | None = None, output: str = ""
    ) -> None:
        name = self._names.pop(turn)
        told = f"== {safe_line(name)}: {result.verdict}\n{output}"
        self._held[turn] = self._held.get(turn, "") + told
        first = min(self._names, default=None)
        for ready in sorted(self._held):
            if first is None or ready < first:
                print(self._held.pop(ready), end="", flush=True)


class Runs:
    """Jobs that are functions, and the suite that does them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.out = folder / "out"
        self.functions: dict[str, Callable[[], int]] = {}
        self.view: Any = PlainView()

    def add(self, name: str, function: Callable[[], int]) -> None:
        self.functions[f"{name}.toml"] = function

    def run(self, **options: Any) -> Suite:
        names = list(self.functions)
        limit_s = options.pop("limit_s", None)
        jobs = [
            Job(Path(name), ("--seed", "7"), scenario=name, identity=name, limit_s=limit_s)
            for name in names
        ]
        made = SuiteOptions(**{"parallel": 2, "results": self.folder, "out": self.out} | options)

        def do(number: int, _folder: Path | None) -> int:
            return self.functions[names[number]]()

        memory = Memory(self.out, held=True)
        suite = run_suite(jobs, made, do, self.view, memory)
        print_summary(
            jobs,
            [suite.ended[turn] for turn in sorted(suite.ended)],
            len(suite.waiting),
            suite.passes,
        )
        return suite

    @property
    def result(self) -> SuiteResult:
        return decode_suite((self.out / "result.json").read_bytes())

    @property
    def verdicts(self) -> dict[str, str]:
        return {run.name.removesuffix(".toml"): run.verdict for run in self.result.runs}


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Runs:
    monkeypatch.chdir(tmp_path)
    # Other tests may have left threads, which do nothing.
    monkeypatch.setattr(forkserver, "check_threads", lambda: None)
    return Runs(tmp_path)


def rogue() -> int:
    print("a rogue")
    return 0


def crash() -> int:
    faulthandler.disable()  # pytest's, which would tell of it on its own error output
    os.kill(os.getpid(), signal.SIGSEGV)
    return 0


def add_all(runs: Runs) -> None:
    runs.add("passes", lambda: hand_over("passed", name="passes.toml"))
    runs.add("fails", lambda: hand_over("failed", "meter[1]\nheard \x1b[1m nothing", "fails.toml"))
    runs.add("ends", rogue)
    runs.add("crashes", crash)
    runs.add("skips", lambda: hand_over("skipped", "no TUN", "skips.toml"))


def test_the_end_lists_what_has_not_passed_with_the_line_that_repeats_it(
    runs: Runs, capsys: pytest.CaptureFixture[str]
) -> None:
    add_all(runs)
    suite = runs.run()
    assert suite.exit_code == 2
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line.startswith("==")] == [
        "== passes.toml: passed",
        "== fails.toml: failed",
        "== ends.toml: error",
        "== crashes.toml: error",
        "== skips.toml: skipped",
    ]
    ends = "it has left no result, and ended with status 0: a rogue"
    crashes = "it has left no result, and ended by SIGSEGV: it has printed nothing"
    assert lines[-9:] == [
        "failed        fails.toml: meter[1]\\nheard \\x1b[1m nothing",
        "              iotsim run fails.toml --seed 7",
        f"error         ends.toml: {ends}",
        "              iotsim run ends.toml --seed 7",
        f"error         crashes.toml: {crashes}",
        "              iotsim run crashes.toml --seed 7",
        "skipped       skips.toml: no TUN",
        "              iotsim run skips.toml --seed 7",
        "5 of 5 scenarios: 1 passed, 1 failed, 2 error, 1 skipped",
    ]


def test_one_document_has_what_became_of_all(runs: Runs) -> None:
    add_all(runs)
    runs.out.mkdir()
    (runs.out / "junit.xml").write_text("of an earlier suite")
    runs.run()
    root = ET.parse(runs.out / "junit.xml").getroot()
    states = {
        element.find("properties/property[@name='verdict']").get("value")  # type: ignore[union-attr]
        for element in root
    }
    assert len(root) == 5
    assert states == {"passed", "failed", "error", "skipped"}
    assert (root.get("failures"), root.get("errors"), root.get("skipped")) == ("1", "2", "1")
    assert runs.result.verdict == "error"
    assert runs.result.counts == {"passed": 1, "failed": 1, "error": 2, "skipped": 1}
    page = (runs.out / "index.html").read_text()
    assert all(f'href="{name}/"' in page for name in ("passes", "fails", "crashes"))
    assert "heard \\x1b[1m nothing" in page


def test_the_index_leads_to_the_report_of_a_run_that_has_one(runs: Runs) -> None:
    def reports() -> int:
        (runs.out / "a-b").mkdir(parents=True)
        (runs.out / "a-b" / "report.html").write_text("<p>")
        return hand_over("passed", name="<b>&amp;")

    runs.add("a b", reports)
    runs.add("other", lambda: hand_over("passed"))
    runs.run(parallel=1)
    page = (runs.out / "index.html").read_text()
    assert 'href="a-b/report.html">&lt;b&gt;&amp;amp;</a>' in page
    assert 'href="other/"' in page


def test_a_run_cannot_tell_what_its_neighbors_have_done(runs: Runs) -> None:
    """Whatever a run does to its process, the next begins as if it were the first."""
    traces = runs.folder / "traces"

    def dirty() -> int:
        found = [name for name in ("left_behind", "iotsim_left") if name in sys.modules]
        found += [name for name in os.environ if name == "LEFT_BEHIND"]
        found += [path for path in sys.path if path == "/left/behind"]
        found += ["cwd"] if Path.cwd() != runs.folder else []
        found += ["mask"] if signal.SIGUSR1 in signal.pthread_sigmask(signal.SIG_BLOCK, ()) else []
        found += ["handler"] if signal.getsignal(signal.SIGUSR2) != signal.SIG_DFL else []
        found += ["fd"] if Path("/proc/self/fd/150").exists() else []
        with traces.open("a") as file:
            file.write(f"{json.dumps(found)}\n")
        sys.modules["left_behind"] = sys
        os.environ["LEFT_BEHIND"] = "1"
        sys.path.append("/left/behind")
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
        signal.signal(signal.SIGUSR2, signal.SIG_IGN)
        os.dup2(0, 150)
        os.chdir("/")
        return hand_over("passed")

    for number in range(6):
        runs.add(f"r{number}", dirty)
    assert runs.run(parallel=1).exit_code == 0
    assert [json.loads(line) for line in traces.read_text().splitlines()] == [[]] * 6


def test_no_verdict_depends_on_the_order(runs: Runs) -> None:
    kinds = ["passed", "failed", "error", "skipped", "inconclusive", "empty"]
    expected = {f"r{n:02}": kinds[n % 6] for n in range(18)}
    for seed in range(3):
        order = sorted(expected, key=lambda name: hash((name, seed)))
        runs.functions.clear()
        for name in order:
            runs.add(name, lambda verdict=expected[name]: hand_over(verdict))  # type: ignore[misc]
        runs.run(parallel=1 + seed * 2)
        assert runs.verdicts == expected


def test_a_run_that_is_killed_hangs_or_eats_its_memory_harms_itself_alone(runs: Runs) -> None:
    def eat() -> int:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (1 << 29, 1 << 29))
        eaten = [bytearray(1 << 24) for _ in range(1000)]
        return len(eaten)

    def kill() -> int:
        os.kill(os.getpid(), signal.SIGKILL)
        return 0

    def hang() -> int:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        while True:
            time.sleep(60)

    for name, function in {"eats": eat, "killed": kill, "hangs": hang}.items():
        runs.add(name, function)
    for number in range(4):
        runs.add(f"good{number}", lambda: hand_over("passed"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(suites, "KILL_S", 0.5)
        runs.run(limit_s=0.5)
    by_name = {run.name: run for run in runs.result.runs}
    assert {name: run.verdict for name, run in by_name.items()} == {
        **dict.fromkeys(("eats.toml", "killed.toml", "hangs.toml"), "error"),
        **{f"good{number}.toml": "passed" for number in range(4)},
    }
    assert "MemoryError" in by_name["eats.toml"].reason
    assert "ended by SIGKILL" in by_name["killed.toml"].reason
    told = "it did not end 0.5 s after its limit of 0.5 s: its process was at hang() at"
    assert told in by_name["hangs.toml"].reason
    assert "test_suite.py:" in by_name["hangs.toml"].reason


def test_writing_what_is_left_is_no_part_of_the_limit(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    def writes_long() -> int:
        inside.tell(inside.OVER)
        time.sleep(2)
        return hand_over("passed")

    runs.add("a", writes_long)
    monkeypatch.setattr(suites, "KILL_S", 0.3)
    assert runs.run(limit_s=0.2).exit_code == 0
    monkeypatch.setattr(suites, "LEAVING_S", 0.3)
    assert runs.run(limit_s=0.2).exit_code == 2
    assert runs.result.runs[0].reason.startswith("it did not end 0.3 s after it was over")


def test_the_kernel_ends_a_run_rather_than_the_suite_where_memory_is_short(runs: Runs) -> None:
    score = runs.folder / "score"

    def look() -> int:
        score.write_text(Path("/proc/self/oom_score_adj").read_text())
        return hand_over("passed")

    runs.add("a", look)
    runs.run()
    assert int(score.read_text()) == 500
    assert int(Path("/proc/self/oom_score_adj").read_text()) < 500


def test_what_a_run_leaves_running_does_not_hold_the_suite(runs: Runs) -> None:
    def leave() -> int:
        if os.fork() == 0:
            time.sleep(20)
            os._exit(0)
        return hand_over("passed")

    runs.add("a", leave)
    began = time.monotonic()
    assert runs.run().exit_code == 0
    assert time.monotonic() - began < 15


def test_much_output_is_kept_at_both_ends(runs: Runs, capsys: pytest.CaptureFixture[str]) -> None:
    def chatter() -> int:
        print("first")
        for _ in range(100):
            print("x" * 20_000)
        print("last")
        return hand_over("passed")

    runs.add("a", chatter)
    assert runs.run().exit_code == 0
    text = capsys.readouterr().out
    assert text.startswith("== a.toml: passed\nfirst\n")
    assert "last\n" in text
    assert "bytes are left out" in text
    assert len(text) < 1_200_000


def test_nothing_more_is_begun_after_the_first_failure(runs: Runs) -> None:
    runs.add("a", lambda: hand_over("passed"))
    runs.add("b", lambda: hand_over("failed", "no"))
    for name in "cde":
        runs.add(name, lambda: hand_over("passed"))
    suite = runs.run(parallel=1, fail_fast=True)
    assert suite.exit_code == 1
    assert list(runs.verdicts.values()) == ["passed", "failed", *["waiting"] * 3]
    assert runs.result.reason == "3 were not begun, since one did not pass"
    assert runs.result.verdict == "failed"


def test_repetitions_have_folders_of_their_own(
    runs: Runs, capsys: pytest.CaptureFixture[str]
) -> None:
    runs.add("a", lambda: hand_over("passed"))
    runs.add("b", lambda: hand_over("failed", "no"))
    suite = runs.run(parallel=1, repeat=3)
    assert [(run.name, run.folder) for run in runs.result.runs] == [
        *(("a.toml", f"a/{n}") for n in (1, 2, 3)),
        *(("b.toml", f"b/{n}") for n in (1, 2, 3)),
    ]
    assert suite.exit_code == 1
    assert "6 of 6 runs: 3 passed, 3 failed" in capsys.readouterr().out


def test_until_one_fails(runs: Runs, capsys: pytest.CaptureFixture[str]) -> None:
    counter = runs.folder / "counter"
    counter.write_text("")

    def fifth_fails() -> int:
        with counter.open("a") as file:
            file.write("x")
        good = len(counter.read_text()) < 5
        (runs.out / str(len(counter.read_text()))).mkdir(parents=True)
        return hand_over("passed") if good else hand_over("failed", "the fifth")

    runs.add("a", fifth_fails)
    suite = runs.run(parallel=1, repeat=0, until_fail=True)
    assert suite.exit_code == 1
    assert [(run.repetition, run.verdict) for run in runs.result.runs] == [
        (4, "passed"),
        (5, "failed"),
    ]
    assert sorted(path.name for path in runs.out.iterdir() if path.is_dir()) == ["4", "5"]
    assert "5 of 5 runs: 4 passed, 1 failed" in capsys.readouterr().out


def test_what_was_inconclusive_beside_others_is_done_again_alone(runs: Runs) -> None:
    tries = runs.folder / "tries"

    def doubtful() -> int:
        with tries.open("a") as file:
            file.write("x")
        first = len(tries.read_text()) == 1
        time.sleep(0.3)
        return hand_over("inconclusive", "lag") if first else hand_over("passed")

    def other() -> int:
        time.sleep(0.3)
        return hand_over("passed")

    runs.add("a", doubtful)
    for name in "bcd":
        runs.add(name, other)
    assert runs.run(parallel=2, retry=True).exit_code == 0
    assert tries.read_text() == "xx"
    assert [run.retried for run in runs.result.runs] == [True, False, False, False]


def test_what_is_inconclusive_by_itself_stays_so(runs: Runs) -> None:
    runs.add("a", lambda: hand_over("inconclusive", "lag"))
    assert runs.run(parallel=2, retry=True).exit_code == 4


def test_of_those_that_a_signal_has_kept_from_running_the_document_says_so(
    runs: Runs, capsys: pytest.CaptureFixture[str]
) -> None:
    pid = os.getpid()

    def stop() -> int:
        os.kill(pid, signal.SIGTERM)
        return hand_over("passed")

    runs.add("a", stop)
    for name in "bcde":
        runs.add(name, lambda: hand_over("passed"))
    before = signal.getsignal(signal.SIGTERM)
    assert runs.run(parallel=1).exit_code == 143
    assert signal.getsignal(signal.SIGTERM) == before
    cases = ET.parse(runs.out / "junit.xml").getroot().findall("testsuite/testcase")
    messages = [error.get("message", "") for case in cases for error in case.findall("error")]
    assert len(cases) == 5
    assert sum("has not ended" in message for message in messages) == 4
    assert runs.result.reason == "ended by SIGTERM, 4 were not begun"
    assert capsys.readouterr().out.endswith("; 4 not begun\n")
    # And whoever does again what has failed does these.
    assert Memory(runs.out, held=True).failed() >= {f"{name}.toml" for name in "bcde"}


def test_a_second_signal_ends_at_once_what_heeds_no_first_one(runs: Runs) -> None:
    pid = os.getpid()

    def stubborn() -> int:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        for _ in range(100):
            os.kill(pid, signal.SIGTERM)
            time.sleep(0.2)
        return hand_over("passed")

    runs.add("a", stubborn)
    assert runs.run().exit_code == 143
    (run,) = runs.result.runs
    assert run.reason.startswith("killed: SIGTERM came a second time")


def test_where_the_process_that_forks_is_killed_nothing_is_taken_for_passed(runs: Runs) -> None:
    def murder() -> int:
        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(60)
        return hand_over("passed")

    runs.add("a", murder)
    runs.add("b", lambda: hand_over("passed"))
    assert runs.run(parallel=1).exit_code != 0
    assert runs.verdicts == {"a": "error", "b": "waiting"}


def test_where_the_process_that_forks_has_gone_what_was_to_begin_has_failed(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    servers = []

    def start_server(do: Any) -> Any:
        servers.append(forkserver.start_server(do))
        return servers[0]

    class Murderer(PlainView):
        def begun(self, number: int, name: str) -> None:
            super().begun(number, name)
            os.kill(servers[0].pid, signal.SIGKILL)
            os.waitid(os.P_PID, servers[0].pid, os.WEXITED | os.WNOWAIT)

    monkeypatch.setattr(suites, "start_server", start_server)
    runs.view = Murderer()
    for name in "abc":
        runs.add(name, lambda: hand_over("passed"))
    assert runs.run(parallel=2).exit_code not in (0, 1)
    assert runs.verdicts == {"a": "error", "b": "error", "c": "waiting"}
    assert runs.result.verdict == "error"


def test_nothing_is_forked_beside_a_thread() -> None:
    over = threading.Event()
    thread = threading.Thread(target=over.wait)
    thread.start()
    try:
        with pytest.raises(IotsimError, match=r"with one thread, and this has \d+"):
            forkserver.start_server(lambda _number, _folder: 0)
    finally:
        over.set()
        thread.join()


def test_two_suites_do_not_share_a_folder(runs: Runs) -> None:
    runs.add("a", lambda: hand_over("passed"))
    with open_results("other", runs.out), pytest.raises(IotsimError, match="in use"):
        runs.run()


def test_how_far_a_run_is_reaches_who_shows_it(runs: Runs) -> None:
    heard: list[str] = []

    class Heard(PlainView):
        def progress(self, turn: Turn, text: str) -> None:
            heard.append(f"{turn.job} {text}")

    def tells() -> int:
        inside.tell("at the first\nthing")
        time.sleep(0.3)
        inside.tell("at the second")
        time.sleep(0.3)
        return hand_over("passed")

    runs.view = Heard()
    runs.add("a", tells)
    runs.run()
    assert heard == ["0 at the first thing", "0 at the second"]


def test_the_news_of_a_run_never_make_it_wait(runs: Runs) -> None:
    def tells() -> int:
        began = time.monotonic()
        for number in range(20_000):
            inside.tell(f"{number} {'x' * 400}")
        assert time.monotonic() - began < 20
        return hand_over("passed")

    runs.add("a", tells)
    assert runs.run().exit_code == 0


def test_a_run_by_itself_hands_its_result_to_nobody(
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    inside.hand_over(RunResult(scenario="a", path="a.toml", seed=1, verdict="passed"))
    inside.tell("something")
    assert not inside.in_suite()
    assert capfdbinary.readouterr() == (b"", b"")


def test_what_is_handed_over_cannot_be_reached_by_what_a_run_starts(runs: Runs) -> None:
    found = runs.folder / "found"

    def look() -> int:
        import subprocess

        listed = subprocess.run(["ls", "/proc/self/fd"], capture_output=True, check=True)
        found.write_bytes(listed.stdout)
        return hand_over("passed")

    runs.add("a", look)
    runs.run()
    assert found.read_text().split() == ["0", "1", "2", "3"]  # the last is the folder that ls reads


def test_the_end_of_a_suite_has_room_on_a_disk_that_its_runs_have_filled(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = True
    really_free_room = ResultsFolder.free_room

    def free_room(folder: ResultsFolder) -> None:
        nonlocal full
        full = False
        really_free_room(folder)

    def replace_file(path: Path, data: bytes) -> None:
        if full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        path.write_bytes(data)

    monkeypatch.setattr(ResultsFolder, "free_room", free_room)
    monkeypatch.setattr(folders, "replace_file", replace_file)
    runs.add("a", lambda: hand_over("passed"))
    assert runs.run().trouble == ""
    assert runs.verdicts == {"a": "passed"}
    assert ET.parse(runs.out / "junit.xml").getroot().get("failures") == "0"
