"""The file of a baseline: read, and written again."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from iotsim.errors import IotsimError
from iotsim.results.compare.baseline import decode_baseline, encode_baseline, settled
from iotsim.results.result import title_of
from iotsim.results.verdict import Verdict
from iotsim.run.files import locked, read_file, replace_file
from iotsim.testbed.users import make_folder

if TYPE_CHECKING:
    from collections.abc import Iterable

    from iotsim.results.compare.profile import Profile

LARGEST_BYTES = 256 << 20
LOCK_PATIENCE_S = 10.0


class Updated(NamedTuple):
    """The names of runs that were ``put`` into a baseline, the verdicts by names of those that were
    ``refused``, and how many runs are ``in_all`` in it now."""

    put: list[str]
    refused: dict[str, str]
    in_all: int


def read_baseline(file: Path) -> dict[str, Profile]:
    """The profiles in `file`, by name. IotsimError if there is no baseline."""
    try:
        if file.stat().st_size > LARGEST_BYTES:
            raise IotsimError(f"{file}: it is too large for a baseline")
        return decode_baseline(read_file(file))
    except OSError as error:
        raise IotsimError(f"{file}: {error.strerror}") from None
    except ValueError as error:
        raise IotsimError(f"{file}: {error}") from None


def update_baseline(file: Path, profiles: Iterable[Profile]) -> Updated:
    """Put `profiles` into the baseline in `file`, in the place of those of the same scenarios; others stay.

    Only those that passed: a failure in a baseline would be what is expected from then on.
    IotsimError if the file cannot be written, or is no baseline.
    """
    fresh: dict[str, Profile] = {}
    refused: dict[str, str] = {}
    in_all = 0
    for profile in profiles:
        path = seen_from(file, profile.path)
        name = title_of(path or profile.scenario, profile.parameters)
        if profile.verdict == Verdict.PASSED:
            fresh[name] = settled(profile, path)  # of runs that are repeated, the last
        else:
            refused[name] = profile.verdict
    try:
        if fresh:
            make_folder(file.absolute().parent)
            with locked(file.absolute().parent, LOCK_PATIENCE_S):
                kept = read_baseline(file) if file.exists() else {}
                replace_file(file, encode_baseline(kept | fresh))
                in_all = len(kept | fresh)
        elif file.exists():
            in_all = len(read_baseline(file))
    except OSError as error:
        raise IotsimError(f"{file} is not written: {error.strerror}") from error
    return Updated(list(fresh), refused, in_all)


def seen_from(file: Path, path: str) -> str:
    """The file of a scenario as seen from the baseline `file`, if it lies beside or below it; else "": what
    lies elsewhere is elsewhere on every machine."""
    if not path:
        return ""
    relative = os.path.relpath(path, file.absolute().parent)
    return "" if relative.startswith("..") else relative


def resolved(path: str, file: Path) -> str:
    """Where the scenario is that is at `path` as seen from the baseline `file`; "" if that is not known."""
    return os.path.abspath(Path(file.absolute().parent, path)) if path else ""  # noqa: PTH100
