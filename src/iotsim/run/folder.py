"""Where a run leaves its results: ``results/NAME/TIME`` below the current folder, or as asked.

A folder belongs to one run at a time. What an earlier run has left in it goes when it is opened, so that
nothing in it is ever of another run than the one that had it last.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import shutil
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import msgspec

from iotsim.errors import IotsimError
from iotsim.results.cases import suite_of
from iotsim.results.junit import encode_junit
from iotsim.results.result import RUNNING, decode_result, encode_result
from iotsim.run.files import read_file, replace_file
from iotsim.testbed.users import give_to_caller, make_folder

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from iotsim.protocol.definition import Protocol
    from iotsim.results.cases import Suite
    from iotsim.results.result import RunResult

RESULTS = Path("results")
SLUG_CHARACTERS = 60
ROOMS = (4 << 20, 1 << 20, 256 << 10, 64 << 10, 16 << 10)
"""Bytes that are held free for the results: the most that leaves `SHARE_LEFT` of what the disk has free."""
SHARE_LEFT = 3 / 4
WORK = "work"
_OWN_FILE = re.compile(
    r"\.?(result\.json|junit\.xml|xunit\.xml|results\.tap|devices\.csv|report\.html|index\.html|gateway\.log|northbound-ca\.pem"
    r"|(events|capture)(\.shard\d+)?(\.\d+)?\.(jsonl|pcapng))((\.[0-9a-f]{8})?\.new)?"
)
"""What a run leaves itself; not what its gateway leaves in its working folder."""
NORTHBOUND = "northbound"
OWN_FOLDER = re.compile(rf"({WORK}|{NORTHBOUND})(_\d+)?")
"""What `ResultsFolder.make_folder` calls a folder."""


class ResultsFolder:
    """A folder for the results of one run, at an absolute `path`.

    ``folders`` are those that were made in it for the run. ``result`` is what was last written.
    ``trouble`` says what could not be written, and why. ``protocols``: those that the run is about, where
    they are known; ``has_page``: ``report.html`` was made, or tried. `made` tells this folder from others
    that may come to be at its path.
    """

    def __init__(self, path: Path, made: os.stat_result | None = None) -> None:
        self.path = path
        self.folders: list[Path] = []
        self.result: RunResult | None = None
        self.trouble = ""
        self.protocols: Mapping[str, Protocol] | None = None
        self.has_page = False
        self._room: BinaryIO | None = None
        self._made = made

    def check(self) -> None:
        """OSError if what is at ``path`` now is another folder than this one, or none."""
        if self._made is not None and not os.path.samestat(self._made, self.path.stat()):
            raise OSError(errno.ESTALE, "somebody has put another folder in its place")

    def write(self, result: RunResult) -> None:
        """Put `result`, in its two forms, in the place of what was there. A disk that is full is no
        error here, but `trouble`."""
        if lacking := [name for name in self.folder_names if name not in result.files]:
            result = msgspec.structs.replace(result, files=[*result.files, *lacking])
        self.result, self.trouble = result, ""
        if result.verdict != RUNNING:
            self.free_room()
        self._replace("result.json", encode_result(result))
        self.write_junit([suite_of(result, folder=shown_folder(self.path))])

    def write_junit(self, suites: Sequence[Suite]) -> None:
        self._replace("junit.xml", encode_junit(suites))

    def write_document(self, name: str, data: bytes) -> None:
        """Put `data` in the place of the document `name`, as `write` does."""
        self._replace(name, data)

    def _replace(self, name: str, data: bytes) -> None:
        try:
            self.check()
            replace_file(self.path / name, data)
        except OSError as error:
            self.trouble = self.trouble or f"{self.path / name} is not written: {error.strerror}"

    def hold_room(self) -> None:
        """Keep room on the disk for the results, which events and capture might fill up.

        It is in a file without a name, so that it is free again however the run ends.
        """
        with suppress(OSError):
            disk = os.statvfs(self.path)
            most = (1 - SHARE_LEFT) * disk.f_bavail * disk.f_frsize
            self._room = tempfile.TemporaryFile(dir=self.path, buffering=0)  # noqa: SIM115
            for size in (size for size in ROOMS if size <= most):
                try:
                    os.posix_fallocate(self._room.fileno(), 0, size)
                except OSError:
                    self._room.truncate(0)
                else:
                    return

    def free_room(self) -> None:
        if self._room is not None:
            self._room.close()
            self._room = None

    @property
    def folder_names(self) -> list[str]:
        """Those of ``folders``, as results have them."""
        return [f"{folder.name}/" for folder in self.folders]

    def make_folder(self, name: str = WORK) -> Path:
        """Make and return a fresh folder, such as that for what the gateway writes: `name`, or `name` with a
        number where somebody else has one of that name. IotsimError if that cannot be."""
        attempt = 1
        while True:
            folder = self.path / (name if attempt == 1 else f"{name}_{attempt}")
            try:
                folder.mkdir()
            except FileExistsError:
                attempt += 1
            except OSError as error:
                raise _unusable(folder, error) from error
            else:
                break
        self.folders.append(folder)
        if self.result is not None:
            self.write(self.result)  # so that the next run in here knows whose it is
        return folder


@contextmanager
def open_results(
    name: str, out: Path | ResultsFolder | None, results: Path = RESULTS
) -> Iterator[ResultsFolder]:
    """The folder for the results of the scenario `name`: `out`, or one of its own below `results`; no other
    run can have it meanwhile.

    The files of an earlier run are removed, with the working folder of its gateway. A folder that is
    open already is taken as it is. IotsimError if the folder cannot be had.
    """
    if isinstance(out, ResultsFolder):
        yield out
        return
    path = _make_folder(name, out, results)
    lock = _lock(path)
    folder = ResultsFolder(path, os.fstat(lock))
    try:
        try:
            _remove_earlier(path)
        except OSError as error:
            raise _unusable(path, error) from error
        folder.hold_room()
        yield folder
    finally:
        folder.free_room()
        os.close(lock)


def _make_folder(name: str, out: Path | None, results: Path) -> Path:
    """Make and return the folder, absolute. Two runs never share one that iotsim chose."""
    try:
        if out is not None:
            make_folder(out)
            _check_writable(out)
            return out.resolve()
        parent = results / slug(name)
        make_folder(parent)
        stamp = time.strftime("%Y-%m-%d_%H-%M-%S")
        for attempt in range(1, 1000):
            folder = parent / (stamp if attempt == 1 else f"{stamp}_{attempt}")
            try:
                folder.mkdir()
            except FileExistsError:
                continue
            give_to_caller(folder)
            return folder.resolve()
    except (OSError, ValueError) as error:
        raise _unusable(out or results, error) from error
    raise IotsimError(f"there are 999 results of this second in {parent}: use --out DIR")


def _check_writable(folder: Path) -> None:
    """OSError if no file can be made in `folder`."""
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, "it may not be written to")


def _unusable(folder: Path, error: OSError | ValueError) -> IotsimError:
    reason = str(error)
    if isinstance(error, OSError):
        reason = error.strerror or reason
        if error.errno in (errno.EEXIST, errno.ENOTDIR):
            reason = "it is, or stands below, a file"
    return IotsimError(
        f"the results folder {folder} cannot be used: {reason} (choose another one with --out DIR)"
    )


def _lock(folder: Path) -> int:
    """A descriptor that keeps other runs out of `folder` as long as it is open.

    It is `folder` itself that is locked, so that no file is left; processes that this one forks hold the
    lock with it. Where the file system cannot lock (some network ones), nothing keeps others out.
    """
    try:
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise _unusable(folder, error) from error
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        raise IotsimError(
            f"the results folder {folder} is in use by a run that is going on: "
            "name another one with --out DIR"
        ) from None
    except OSError:
        pass
    return fd


def _remove_earlier(folder: Path) -> None:
    """Remove what an earlier run has left in `folder`, and nothing else."""
    own_files = [path for path in folder.iterdir() if _OWN_FILE.fullmatch(path.name)]
    for path in own_files:
        if path.is_dir() and not path.is_symlink():
            raise OSError(errno.EISDIR, f"in there, {path.name} is a folder")
    for own in _own_folders(folder):
        shutil.rmtree(own, ignore_errors=True)
    for path in own_files:
        path.unlink()


def _own_folders(folder: Path) -> list[Path]:
    """The folders that the run made whose ``result.json`` is in `folder`.

    Only what it names is ours to remove: others may have a folder of that name here.
    """
    try:
        result = decode_result(read_file(folder / "result.json"))
    except (OSError, ValueError):
        return []
    named = [folder / name for name in result.files if OWN_FOLDER.fullmatch(name.removesuffix("/"))]
    return [path for path in named if path.is_dir() and not path.is_symlink()]


def shown_folder(folder: Path) -> str:
    """`folder` as others on this machine find it: from the current one, if it is below that."""
    with suppress(ValueError, OSError):
        return str(folder.resolve().relative_to(Path.cwd()))
    return str(folder)


def slug(name: str) -> str:
    """`name` as the name of a folder: letters, digits, dots, dashes."""
    text = re.sub(r"[^A-Za-z0-9.]+", "-", name).strip("-.").lower()
    return text[:SLUG_CHARACTERS] or "scenario"
