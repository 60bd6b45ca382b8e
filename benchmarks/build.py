"""What the benchmark compiles and installs for itself, all of it under benchmarks/build/."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
BUILD = HERE / "build"
LOADGEN = BUILD / "loadgen"
TUN_ECHO = BUILD / "tun_echo"
PEERS_PYTHON = BUILD / "peers" / "bin" / "python"
PEER_PACKAGES = ("scapy", "pymodbus", "aiocoap")
INSTALL_TIMEOUT_S = 240


def compile_programs() -> None:
    """Compile the C programs that are older than their source; needs a C compiler."""
    BUILD.mkdir(exist_ok=True)
    for program in (LOADGEN, TUN_ECHO):
        source = HERE / f"{program.name}.c"
        if program.exists() and program.stat().st_mtime > source.stat().st_mtime:
            continue
        command = ["cc", "-O2", "-std=gnu11", "-Wall", "-Wextra", "-o", str(program), str(source)]
        subprocess.run(command, check=True, timeout=60)


def install_peers() -> dict[str, str]:
    """Package -> its version, or "" where it cannot be had.

    They have an environment of their own: Scapy is GPL and runs as a separate program only.
    """
    if not PEERS_PYTHON.exists():
        make = [sys.executable, "-m", "venv", str(BUILD / "peers")]
        subprocess.run(make, check=True, timeout=INSTALL_TIMEOUT_S)
    versions = {package: version_of(package) for package in PEER_PACKAGES}
    for package in (package for package, version in versions.items() if not version):
        install = [str(PEERS_PYTHON), "-m", "pip", "install", "--quiet", package]
        try:
            subprocess.run(install, check=True, timeout=INSTALL_TIMEOUT_S, capture_output=True)
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
            print(f"  {package} cannot be installed: it is left out", flush=True)
        versions[package] = version_of(package)
    return versions


def version_of(package: str) -> str:
    code = f"import importlib.metadata as m; print(m.version({package!r}))"
    done = subprocess.run([PEERS_PYTHON, "-c", code], capture_output=True, text=True, check=False)
    return done.stdout.strip()


def installed(program: str) -> bool:
    return shutil.which(program, path="/usr/bin:/usr/sbin:/usr/local/bin:/bin:/sbin") is not None
