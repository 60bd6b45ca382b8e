"""The registry of protocols: found by name, loaded from their files.

A protocol ``mine`` is looked for, in this order: in each folder of the search (a scenario's own),
as ``protocols/mine.py`` and ``mine.py``; in ``./protocols``; among the bundled ones; and as an
entry point of the group ``iotsim.protocols``. The first that is found is taken. In the place of each
``mine.py`` a package ``mine/__init__.py`` may stand, whose modules import each other by relative names.
Where such a folder is one that everybody may write to (/tmp), what another user has put there is left out.

A protocol file is Python, and is executed. Nothing else is: a file beside a scenario is only taken
for a protocol if it assigns ``PROTOCOL`` at its top level, which is read off its syntax tree. It
has ``PROTOCOL``, a `Protocol` of the file's name, and may have ``VECTORS``, a list of pairs: bytes
on the wire (hex) and the message's fields. A third element may say more of a vector (`Vector`).
"""

from __future__ import annotations

import ast
import difflib
import importlib
import os
import stat
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

from iotsim import userfile
from iotsim.errors import ProtocolError
from iotsim.protocol.definition import NAME, Protocol
from iotsim.protocol.device import StandIn
from iotsim.userfile import UserFileError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

ENTRY_POINTS = "iotsim.protocols"
BUNDLED = "iotsim.protocols"
MOST_REMEMBERED = 100
"""How many protocol files of users, with their codecs, are kept for the next scenario that asks for them."""


@dataclass(frozen=True)
class Vector:
    """A message as bytes and as fields.

    The third element of a vector in a file is a table of the rest:

    ``answer``        whether it is one that a device sends, where that has a schema of its own
    ``decodes_only``  whether its fields encode to other bytes, or to none
    ``device``        a table of what the device is, where the schema asks for that: ``state``, ``data``,
                      ``index``, ``name``, ``address``
    """

    data: bytes
    fields: Mapping[str, Any]
    answer: bool = False
    decodes_only: bool = False
    device: StandIn = field(default_factory=StandIn)


@dataclass(frozen=True)
class LoadedProtocol:
    """A protocol and where it came from; ``path`` is None for an entry point's without a file."""

    protocol: Protocol
    vectors: tuple[Vector, ...]
    path: Path | None


class _Remembered(NamedTuple):
    """A protocol file as it was when it was executed; ``source`` is that of all modules of a package."""

    source: tuple[bytes, ...]
    module: ModuleType
    loaded: LoadedProtocol


_loaded: dict[Path, _Remembered] = {}
"""By file; what was asked for last stands last."""


def bundled_folder() -> Path:
    """Where the protocols that come with iotsim are, the modules of `iotsim.protocols`."""
    return Path(__file__).resolve().parent.parent / "protocols"


def candidates(name: str, search: Sequence[Path] = ()) -> Iterator[Path]:
    """The files that may hold the protocol ``name``, in order."""
    for folder in _folders(search):
        if not _is_planted(folder / f"{name}.py"):
            yield folder / f"{name}.py"
        if not _is_planted(folder / name):
            yield folder / name / "__init__.py"


def _folders(search: Sequence[Path]) -> Iterator[Path]:
    for folder in search:
        inner = Path(folder) / "protocols"
        yield from () if _is_planted(inner) else (inner,)
        yield Path(folder)
    yield from () if _is_planted(Path("protocols")) else (Path("protocols"),)
    yield bundled_folder()


def _is_planted(path: Path) -> bool:
    """Whether another user has put `path` into a folder that is everybody's, such as /tmp: it is code, and
    nobody has asked for it by its place."""
    try:
        mode = path.parent.stat().st_mode
        if not (mode & stat.S_IWOTH and mode & stat.S_ISVTX):
            return False
        owner = path.lstat().st_uid
    except (OSError, ValueError):
        return False
    caller = os.environ.get("SUDO_UID", "")
    return owner not in (0, os.geteuid()) and str(owner) != caller


def _name_of(path: Path) -> str:
    """What the protocol of a file is called."""
    return path.parent.name if path.name == "__init__.py" else path.stem


def _stands_among_protocols(path: Path) -> bool:
    folder = path.parent.parent if path.name == "__init__.py" else path.parent
    return folder.name == "protocols"


def is_bundled(path: Path) -> bool:
    """Whether the file of a protocol comes with iotsim."""
    return path.resolve().is_relative_to(bundled_folder().resolve())


def load_protocol(name: str, search: Sequence[Path] = ()) -> LoadedProtocol:
    """The protocol ``name``; `ProtocolError` if there is none, or its file is wrong."""
    if not NAME.match(name):
        raise ProtocolError(f"{name!r} is no name of a protocol (a-z, 0-9, - and _)")
    for path in candidates(name, search):
        # os.path, unlike Path, takes what cannot be looked at for what is not there
        found = os.path.isfile(path)  # noqa: PTH113
        if found and (_stands_among_protocols(path) or _declares_protocol(path)):
            return load_file(path)
    for entry in _entry_points():
        if entry.name == name:
            return _load_entry(entry)
    known = [loaded for loaded, _ in list_protocols(search)]
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(known) or 'none'}"
    places = ", ".join(dict.fromkeys(map(str, _folders(search))))
    raise ProtocolError(f"there is no protocol {name!r} ({hint}; looked in: {places})")


def list_protocols(search: Sequence[Path] = ()) -> list[tuple[str, Path | None]]:
    """Names and files of all protocols that `load_protocol` finds, without executing any."""
    found: dict[str, Path | None] = {}
    for folder in _folders(search):
        if not os.path.isdir(folder):  # noqa: PTH112
            continue
        for path in sorted((*folder.glob("*.py"), *folder.glob("*/__init__.py"))):
            name = _name_of(path)
            entry = path.parent if path.name == "__init__.py" else path
            if _is_planted(entry):
                continue
            if name not in found and NAME.match(name) and _declares_protocol(path):
                found[name] = path
    for entry in _entry_points():
        found.setdefault(entry.name, None)
    return sorted(found.items())


def load_file(path: Path) -> LoadedProtocol:
    """The protocol that a file declares. The same file is executed once only, until it is changed."""
    try:
        path = path.resolve()
        modules = sorted(path.parent.rglob("*.py")) if path.name == "__init__.py" else ()
        source = tuple(map(userfile.read, (path, *modules)))
    except (OSError, RuntimeError, ValueError, UserFileError) as error:
        raise ProtocolError(f"{path}: {error}") from None
    known = _loaded.pop(path, None)
    if known is not None and known.source != source:
        userfile.forget(known.module)
        known = None
    _loaded[path] = known = known or _load(path, source)
    if len(_loaded) > MOST_REMEMBERED:
        # Those that come with iotsim are few, and others may have imported them.
        users = [path for path in _loaded if not is_bundled(path)]
        if len(users) > MOST_REMEMBERED:
            userfile.forget(_loaded.pop(users[0]).module)
    return known.loaded


def users_file(protocol: Protocol) -> Path | None:
    """The file that declares `protocol`; None if that is none of the user's, but comes with iotsim or
    is installed."""
    for path, known in _loaded.items():
        if known.loaded.protocol is protocol:
            return None if is_bundled(path) else path
    return None


def _declares_protocol(path: Path) -> bool:
    if not path.is_file():
        return False  # a folder or a pipe declares nothing
    try:
        tree = ast.parse(userfile.read(path), str(path))
    except (UserFileError, SyntaxError, ValueError, RecursionError, MemoryError):
        # Taken for one, so that loading it tells what is wrong, if it stands among protocols.
        return _stands_among_protocols(path)
    for statement in tree.body:
        targets: list[ast.expr] = []
        if isinstance(statement, ast.Assign):
            targets = statement.targets
        elif isinstance(statement, ast.AnnAssign):
            targets = [statement.target]
        if any(isinstance(target, ast.Name) and target.id == "PROTOCOL" for target in targets):
            return True
    return False


def _load(path: Path, source: tuple[bytes, ...]) -> _Remembered:
    try:
        if is_bundled(path):
            module = importlib.import_module(f"{BUNDLED}.{_name_of(path)}")
        else:
            module = userfile.execute(path, source[0])
    except UserFileError as error:
        place = f"{path}:{error.line}" if error.line else str(path)
        raise ProtocolError(f"{place}: {error}") from error.__cause__
    except (Exception, SystemExit) as error:  # of one that is bundled
        raise ProtocolError(f"{path}: {userfile.in_words(error)}") from error
    try:
        return _Remembered(source, module, _check(module, str(path), path))
    except ProtocolError:
        userfile.forget(module)
        raise


def _check(module: ModuleType, where: str, path: Path | None) -> LoadedProtocol:
    protocol = getattr(module, "PROTOCOL", None)
    if not isinstance(protocol, Protocol):
        problem = "has no PROTOCOL" if protocol is None else "its PROTOCOL is no iotsim.Protocol"
        raise ProtocolError(f"{where}: {problem}")
    if path is not None and protocol.name != (name := _name_of(path)):
        raise ProtocolError(
            f"{where}: declares the protocol {protocol.name!r}; its file must be "
            f"{protocol.name}.py, or its name {name!r}"
        )
    vectors = getattr(module, "VECTORS", [])
    if not isinstance(vectors, list | tuple):
        raise ProtocolError(f"{where}: VECTORS is no list")
    return LoadedProtocol(
        protocol, tuple(_vector(where, i, vector) for i, vector in enumerate(vectors)), path
    )


def _vector(where: str, index: int, vector: Any) -> Vector:
    try:
        data, fields, *rest = vector
        data = bytes.fromhex(data) if isinstance(data, str) else bytes(data)
        fields = dict(fields)
    except (TypeError, ValueError) as error:
        raise ProtocolError(
            f"{where}: VECTORS[{index}] is no pair of bytes in hex and a dict of fields: {error}"
        ) from None
    try:
        (more,) = rest or [{}]
        return Vector(data, fields, **{**more, "device": StandIn(**more.get("device", {}))})
    except (AttributeError, TypeError, ValueError) as error:
        raise ProtocolError(
            f"{where}: the third element of VECTORS[{index}] is no table of answer, decodes_only and "
            f"device (state, data, index, name, address): {error}"
        ) from None


def _entry_points() -> list[Any]:
    # Imported late: it costs more than all the rest, and is seldom needed.
    from importlib.metadata import entry_points

    return list(entry_points(group=ENTRY_POINTS))


def _load_entry(entry: Any) -> LoadedProtocol:
    where = f"entry point {entry.name} = {entry.value}"
    try:
        loaded = entry.load()
    except (Exception, SystemExit) as error:
        raise ProtocolError(f"{where}: {userfile.in_words(error)}") from error
    if isinstance(loaded, Protocol):
        loaded = _module_of(loaded, entry)
    found = _check(loaded, where, None)
    if found.protocol.name != entry.name:
        raise ProtocolError(f"{where}: declares the protocol {found.protocol.name!r}")
    return found


def _module_of(protocol: Protocol, entry: Any) -> ModuleType:
    """A module with ``protocol``, and the vectors beside it if it is its module's PROTOCOL."""
    module = sys.modules[entry.module]
    if getattr(module, "PROTOCOL", None) is protocol:
        return module
    alone = ModuleType(entry.module)
    alone.PROTOCOL = protocol  # type: ignore[attr-defined]
    return alone
