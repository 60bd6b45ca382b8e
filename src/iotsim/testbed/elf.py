"""What an executable file is: whether a preloaded library can reach its clock.

ELF as in elf(5): the program headers tell of an interpreter, which loads libraries, and of notes, by which
programs of Go are known.
"""

from __future__ import annotations

import os
import shlex
import shutil
import struct
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import BinaryIO

MAGIC = b"\x7fELF"
PT_INTERP, PT_NOTE = 3, 4
HEAD_BYTES = 4096
MOST_HEADERS = 512
MOST_NOTE_BYTES = 1 << 16
MOST_SCRIPTS = 4
"""Interpreters that are scripts themselves are followed this often, as by the kernel."""
OUR_ELF = Path("/proc/self/exe")


def why_unreachable(command: Sequence[str], env: Mapping[str, str], cwd: Path) -> str:
    """Why a library that is preloaded does not reach the clock of `command`; "" if it does, as far as the
    command, and the interpreters of scripts, show. What cannot be found is left to whoever executes it."""
    for path in programs(command, env, cwd):
        if why := why_not_preloaded(path):
            return f"{path} {why}"
    return ""


def programs(command: Sequence[str], env: Mapping[str, str], cwd: Path) -> Iterator[Path]:
    """The files that are executed: the command's, that of its interpreter, and what ``env`` looks up."""
    words = list(command)
    for _ in range(MOST_SCRIPTS + 1):
        path = _find(words[0], env, cwd) if words else None
        if path is None:
            return
        yield path
        if path.name == "env":
            words = _words_of_env(words[1:])
            continue
        first = _read(path, HEAD_BYTES).partition(b"\n")[0]
        if not first.startswith(b"#!"):
            return
        interpreter = first[2:].decode(errors="replace").strip().split(None, 1)
        words = [*interpreter, str(path)]


def why_not_preloaded(path: Path) -> str:
    """Why libraries are not preloaded into the executable at `path`, or in vain: the rest of a sentence;
    "" if they are, or it is no executable."""
    head = _read(path, HEAD_BYTES)
    if not head.startswith(MAGIC) or len(head) < 64:
        return ""
    ours = _read(OUR_ELF, 64)
    if head[4] != ours[4] or head[18:20] != ours[18:20]:
        return "is made for another kind of processor than iotsim itself"
    try:
        with path.open("rb") as file:
            kinds = dict(_headers(file, head))
    except (OSError, struct.error):
        return ""
    if PT_INTERP not in kinds:
        return "is statically linked"
    if b"musl" in kinds[PT_INTERP]:
        return "is linked with musl, and libfaketime with glibc"
    if b"Go\0\0" in kinds.get(PT_NOTE, b""):
        return "is a program of Go, whose runtime asks the kernel for the time by itself"
    return ""


def _headers(file: BinaryIO, head: bytes) -> Iterator[tuple[int, bytes]]:
    """The content of the interpreter's header and of all notes, by kind."""
    wide = head[4] == 2
    order = "<" if head[5] == 1 else ">"
    field, at = ("Q", 32) if wide else ("I", 28)
    (offset,) = struct.unpack_from(order + field, head, at)
    size, count = struct.unpack_from(f"{order}HH", head, 54 if wide else 42)
    notes = b""
    for number in range(min(count, MOST_HEADERS)):
        file.seek(offset + number * size)
        header = file.read(size)
        (kind,) = struct.unpack_from(f"{order}I", header)
        if wide:
            begin, length = struct.unpack_from(f"{order}Q16xQ", header, 8)
        else:
            begin, length = struct.unpack_from(f"{order}I8xI", header, 4)
        if kind in (PT_INTERP, PT_NOTE):
            file.seek(begin)
            content = file.read(min(length, MOST_NOTE_BYTES))
            if kind == PT_INTERP:
                yield kind, content
            else:
                notes += content
    yield PT_NOTE, notes


def _words_of_env(words: list[str]) -> list[str]:
    """What ``env`` executes, of its arguments."""
    while words:
        word = words.pop(0)
        if word in ("-S", "--split-string") and words:
            words = [*shlex.split(words.pop(0)), *words]
        elif word.startswith("-S"):
            words = [*shlex.split(word[2:]), *words]
        elif word in ("-u", "--unset", "-C", "--chdir"):
            words = words[1:]
        elif not word.startswith("-") and "=" not in word:
            return [word, *words]
    return []


def _find(word: str, env: Mapping[str, str], cwd: Path) -> Path | None:
    if "/" in word:
        path = cwd / word
        return path if os.access(path, os.X_OK) and path.is_file() else None
    found = shutil.which(word, path=env.get("PATH", os.defpath))
    return Path(found) if found else None


def _read(path: Path, count: int) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(count)
    except OSError:
        return b""
