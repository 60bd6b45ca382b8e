"""The history of a project's runs: an SQLite file that each run adds a row to.

Several processes may add at a time, and one may be killed while it does: the file is in WAL mode where its
file system can do that, every run is one transaction, and whoever has to wait does so for `PATIENCE_S`. Of
each scenario the newest runs are kept, and the last that passed.

`remember` never raises: what a run came to does not depend on its history.
"""

from __future__ import annotations

import os
import platform
import sqlite3
import time
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import msgspec

from iotsim.errors import IotsimError
from iotsim.results.compare.profile import expectation_states, times_of
from iotsim.results.trends import HistoryRun
from iotsim.run.origin import inputs_of, origin_of
from iotsim.run.past import PastRun
from iotsim.testbed.users import give_to_caller, make_folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from iotsim.results.result import RunResult

APPLICATION = 0x496F5453
"""What marks an SQLite file as ours (PRAGMA application_id): "IoTS"."""
MIGRATIONS = (
    """
    CREATE TABLE runs (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        scenario TEXT NOT NULL,
        path TEXT NOT NULL,
        parameters TEXT NOT NULL,    -- a JSON object
        verdict TEXT NOT NULL,
        reason TEXT NOT NULL,
        ended REAL NOT NULL,         -- Unix time
        duration_s REAL NOT NULL,
        seed TEXT NOT NULL,          -- may be larger than SQLite's integers
        "commit" TEXT NOT NULL,
        changed INTEGER NOT NULL,
        inputs TEXT NOT NULL,
        host TEXT NOT NULL,
        version TEXT NOT NULL,
        folder TEXT NOT NULL,
        times TEXT NOT NULL,
        p95_s REAL
    );
    CREATE INDEX runs_of_scenario ON runs (path, parameters, id);
    CREATE TABLE expectations (      -- those that did not pass
        run INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
        name TEXT NOT NULL,
        state TEXT NOT NULL,
        PRIMARY KEY (run, name)
    ) WITHOUT ROWID;
    """,
)
"""The statements that bring a file from the version that is their place to the next."""
KEEP = 1000
"""Of a scenario, so many runs are kept."""
PATIENCE_S = 30.0
MOST_EXPECTATIONS = 200
"""Of a run, so many that did not pass are kept."""
LONGEST_TEXT = 1000
_COLUMNS = tuple(name for name in HistoryRun.__struct_fields__ if name != "expectations")
_NAMES = ", ".join(f'"{name}"' for name in _COLUMNS)


class HistoryError(IotsimError):
    """The file of a history cannot be used."""


def remember(file: Path, result: RunResult, folder: Path, *, root: Path, keep: int = KEEP) -> str:
    """Add the run that came to `result`, and left that in `folder`, to the history in `file` of the project
    at `root`; "", or why it was not added."""
    try:
        run = run_of(result, folder, root)
    except (IotsimError, OSError, ValueError) as error:
        return f"this run is not in the history: {error}"
    return add_run(file, run, keep=keep)


def run_of(result: RunResult, folder: Path, root: Path) -> HistoryRun:
    """What a history keeps of a run."""
    origin = origin_of(root)
    times = times_of(PastRun(folder).lines())
    # What the gateway took, if that was seen at all.
    name = next((name for name in ("latency", "answer") if times[name].count), "")
    p95 = times[name].percentile(0.95) if name else None
    states = expectation_states(result.expectations)
    return HistoryRun(
        scenario=result.scenario,
        path=_relative(result.path, root),
        parameters=result.parameters,
        verdict=result.verdict,
        reason=result.reason,
        ended=time.time(),
        duration_s=result.duration_s,
        seed=str(result.seed),
        commit=origin.commit,
        changed=bool(origin.changes),
        inputs=inputs_of(result, origin),
        host=platform.node(),
        version=result.versions.get("iotsim", ""),
        folder=str(folder),
        times=name,
        p95_s=None if p95 is None else p95.value,
        expectations={name: state for name, state in states.items() if state != "passed"},
    )


def _relative(path: str, root: Path) -> str:
    """`path` as seen from `root`, if it is below it: so it is the same wherever a command is called."""
    absolute = os.path.abspath(path)  # noqa: PTH100  # links stay
    top = os.path.join(os.path.abspath(root), "")  # noqa: PTH100, PTH118
    return absolute.removeprefix(top) if path else ""


def add_run(file: Path, run: HistoryRun, *, keep: int = KEEP) -> str:
    """Add `run` to the history in `file`, which is made if it is not there; "", or why it was not added."""
    try:
        with _opened(file, make=True) as database, database:
            # At once the right to write: to ask for it later may fail.
            database.execute("BEGIN IMMEDIATE")
            _insert(database, run)
            _forget(database, run, keep)
    except (HistoryError, sqlite3.Error, OSError, ValueError) as error:
        return f"this run is not in the history: {_told(file, error)}"
    return ""


def read_history(file: Path, *, since: float | None = None) -> list[HistoryRun]:
    """The runs in `file` that ended at `since` or later, the oldest first. HistoryError if there are none
    to be had."""
    try:
        with _opened(file, make=False) as database:
            return _select(database, -1e300 if since is None else since)
    except (sqlite3.Error, OSError, ValueError) as error:
        raise HistoryError(_told(file, error)) from error


def _told(file: Path, error: Exception) -> str:
    if isinstance(error, HistoryError):
        return str(error)
    if isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.OperationalError):
        return (
            f"{file} is damaged, or no SQLite file ({error}): move it away, and a new one is made"
        )
    reason = error.strerror if isinstance(error, OSError) else str(error)
    return f"{file}: {reason}"


@contextmanager
def _opened(file: Path, *, make: bool) -> Iterator[sqlite3.Connection]:
    """The database in `file`, of the newest version."""
    if make:
        make_folder(file.absolute().parent)
        _make_file(file)
    elif not file.is_file():
        raise HistoryError(f"there is no history yet: {file} is made by the first run")
    with closing(_connect(file, "rw")) as database:
        _make_ready(database, file)
        yield database


def _make_file(file: Path) -> None:
    try:
        file.open("xb").close()
    except FileExistsError:
        if not file.is_file():
            raise HistoryError(f"{file} is not a file") from None
    else:
        give_to_caller(file)


def _connect(file: Path, mode: str) -> sqlite3.Connection:
    uri = f"{file.absolute().as_uri()}?mode={mode}"
    # Transactions are begun and ended here, and by nobody else.
    database = sqlite3.connect(uri, uri=True, timeout=PATIENCE_S, isolation_level=None)
    database.execute("PRAGMA foreign_keys = ON")
    # In WAL mode nothing breaks by that; the last runs may be missing after a power cut.
    database.execute("PRAGMA synchronous = NORMAL")
    return database


def _make_ready(database: sqlite3.Connection, file: Path) -> None:
    """Make sure that it is a history, and bring it to the newest version."""
    if _version(database, file) == len(MIGRATIONS):
        return
    _use_wal(database)
    with database:
        database.execute("BEGIN IMMEDIATE")
        # Somebody else may have done it meanwhile.
        for number in range(_version(database, file), len(MIGRATIONS)):
            for statement in _statements(MIGRATIONS[number]):
                database.execute(statement)
        database.execute(f"PRAGMA application_id = {APPLICATION}")
        database.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")


def _version(database: sqlite3.Connection, file: Path) -> int:
    """Of which version the file is, 0 for an empty one. HistoryError if it is none of ours."""
    database.execute("SAVEPOINT look")  # as of one moment: somebody else may be making it
    (application,) = database.execute("PRAGMA application_id").fetchone()
    (version,) = database.execute("PRAGMA user_version").fetchone()
    (tables,) = database.execute("SELECT count(*) FROM sqlite_master").fetchone()
    database.execute("RELEASE look")
    if not application and not version and not tables:
        return 0
    if application != APPLICATION:
        raise HistoryError(f"{file} is an SQLite file of something else: name another one")
    if version > len(MIGRATIONS):
        raise HistoryError(
            f"{file} was made by a newer iotsim (version {version}, this one knows {len(MIGRATIONS)})"
        )
    return int(version)


def _use_wal(database: sqlite3.Connection) -> None:
    """Let readers and a writer work at the same time, where the file system can. Without it, they wait for
    each other."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            database.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError:  # somebody else is at it; SQLite does not wait for that
            if time.monotonic() > deadline:
                return
            time.sleep(0.02)
        else:
            return


def _statements(script: str) -> Iterator[str]:
    """The single statements of `script`: to execute it as a whole would end the transaction."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def _insert(database: sqlite3.Connection, run: HistoryRun) -> None:
    values = [_storable(getattr(run, name)) for name in _COLUMNS]
    marks = ", ".join("?" * len(values))
    cursor = database.execute(f"INSERT INTO runs ({_NAMES}) VALUES ({marks})", values)
    failed = [
        (cursor.lastrowid, _storable(name), _storable(state))
        for name, state in list(run.expectations.items())[:MOST_EXPECTATIONS]
    ]
    database.executemany("INSERT OR IGNORE INTO expectations VALUES (?, ?, ?)", failed)


def _storable(value: object) -> str | int | float | None:
    if isinstance(value, dict):
        return msgspec.json.encode(dict(sorted(value.items()))).decode()
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()[:LONGEST_TEXT]
    assert value is None or isinstance(value, int | float)
    return value


def _forget(database: sqlite3.Connection, run: HistoryRun, keep: int) -> None:
    """Of the scenario of `run`, leave the newest `keep` runs and the last that passed."""
    key = _storable(run.path), _storable(run.parameters)
    database.execute(
        """
        DELETE FROM runs WHERE path = ?1 AND parameters = ?2 AND id <= (
            SELECT id FROM runs WHERE path = ?1 AND parameters = ?2
            ORDER BY id DESC LIMIT 1 OFFSET ?3
        ) AND id IS NOT (
            SELECT max(id) FROM runs WHERE path = ?1 AND parameters = ?2 AND verdict = 'passed'
        )
        """,
        (*key, keep),
    )


def _select(database: sqlite3.Connection, since: float) -> list[HistoryRun]:
    failed: dict[int, dict[str, str]] = {}
    runs = []
    database.execute("BEGIN")  # so that both see the same
    rows = database.execute(
        f"SELECT id, {_NAMES} FROM runs WHERE ended >= ? ORDER BY ended, id", (since,)
    ).fetchall()
    states = database.execute(
        "SELECT run, name, state FROM expectations JOIN runs ON run = id WHERE ended >= ?",
        (since,),
    )
    for number, name, state in states:
        failed.setdefault(number, {})[name] = state
    for number, *values in rows:
        fields = dict(zip(_COLUMNS, values, strict=True))
        fields["parameters"] = msgspec.json.decode(
            fields["parameters"], type=dict[str, str], strict=False
        )
        fields["expectations"] = failed.get(number, {})
        runs.append(msgspec.convert(fields, HistoryRun, strict=False))
    return runs
