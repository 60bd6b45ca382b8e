"""Which programs a preloaded library reaches: files made here, and those of this machine."""

from __future__ import annotations

import struct
import subprocess
import sys
from pathlib import Path

import pytest

from iotsim.testbed.elf import PT_INTERP, PT_NOTE, programs, why_not_preloaded, why_unreachable

MACHINE = Path(sys.executable).resolve().read_bytes()[18:20]
LOADER = b"/lib64/ld-linux-x86-64.so.2\0"
GO_NOTE = struct.pack("=III", 4, 8, 4) + b"Go\0\0" + b"buildid\0"
ENV = {"PATH": "/usr/bin:/bin"}


def elf(*segments: tuple[int, bytes], machine: bytes = MACHINE, wide: int = 2) -> bytes:
    """An ELF file of 64 bits with these program headers."""
    head = b"\x7fELF" + bytes([wide, 1, 1]) + bytes(9)
    head += (
        struct.pack("<H", 2)
        + machine
        + struct.pack("<IQQQIHHHHHH", 1, 0, 64, 0, 0, 64, 56, len(segments), 0, 0, 0)
    )
    at = 64 + 56 * len(segments)
    headers = content = b""
    for kind, data in segments:
        headers += struct.pack("<IIQQQQQQ", kind, 4, at, 0, 0, len(data), len(data), 1)
        content += data
        at += len(data)
    return head + headers + content


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (elf((PT_INTERP, LOADER)), ""),
        (elf((1, b"code")), "is statically linked"),
        (elf(), "is statically linked"),
        (elf((PT_INTERP, b"/lib/ld-musl-x86_64.so.1\0")), "musl"),
        (elf((PT_INTERP, LOADER), (PT_NOTE, GO_NOTE)), "Go"),
        (elf((PT_NOTE, GO_NOTE)), "is statically linked"),
        (elf((PT_INTERP, LOADER), machine=b"\xf3\x7f"), "another kind of processor"),
        (elf((PT_INTERP, LOADER), wide=1), "another kind of processor"),
        (b"#!/bin/sh\n", ""),
        (b"", ""),
        (b"\x7fELF", ""),
        (elf((PT_INTERP, LOADER))[:70], ""),
    ],
)
def test_what_a_file_says_of_itself(tmp_path: Path, data: bytes, why: str) -> None:
    path = tmp_path / "program"
    path.write_bytes(data)
    told = why_not_preloaded(path)
    assert why in told
    assert bool(told) == bool(why)


def executable(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    path.chmod(0o755)
    return path


def test_the_interpreters_of_scripts_are_followed(tmp_path: Path) -> None:
    static = executable(tmp_path / "static", elf())
    inner = executable(tmp_path / "inner", f"#! {static} -x\n".encode())
    outer = executable(tmp_path / "outer", f"#!{inner}\n".encode())
    assert [*programs([str(outer)], ENV, tmp_path)] == [outer, inner, static]
    assert [*programs(["./outer", "a"], ENV, tmp_path)][-1] == static
    assert why_unreachable(["./outer"], ENV, tmp_path) == f"{static} is statically linked"


@pytest.mark.parametrize(
    "line",
    ["#!/usr/bin/env static", "#!/usr/bin/env -S A=1 static -v", "#!/usr/bin/env -S -i static"],
)
def test_what_env_looks_up_is_followed(tmp_path: Path, line: str) -> None:
    static = executable(tmp_path / "static", elf())
    script = executable(tmp_path / "script", line.encode() + b"\n")
    env = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    assert [*programs([str(script)], env, tmp_path)][-1] == static
    words = ["env", "A=1", "-u", "B", "static"]
    assert [*programs(words, env, tmp_path)][-1] == static


def test_scripts_that_interpret_each_other_end(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    executable(one, f"#!{other}\n".encode())
    executable(other, f"#!{one}\n".encode())
    assert len([*programs([str(one)], ENV, tmp_path)]) < 10


def test_what_cannot_be_found_is_for_others_to_tell(tmp_path: Path) -> None:
    for words in (["./missing"], ["no-such-program-anywhere"], [], ["/dev/null"], [str(tmp_path)]):
        assert why_unreachable(words, ENV, tmp_path) == ""


def test_programs_of_this_machine() -> None:
    assert why_not_preloaded(Path(sys.executable)) == ""
    assert why_unreachable(["sh", "-c", "true"], ENV, Path("/")) == ""


@pytest.mark.needs("cc")
def test_what_a_compiler_makes(tmp_path: Path) -> None:
    source = tmp_path / "main.c"
    source.write_text("int main(void) { return 0; }")
    for options, static in (([], False), (["-static"], True), (["-static-pie"], True)):
        program = tmp_path / "program"
        subprocess.run(["cc", *options, "-o", program, source], check=True)
        assert (why_not_preloaded(program) == "is statically linked") is static
