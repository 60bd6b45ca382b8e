"""construct's own test suite, from the source archive of the version that is installed.

The package index is asked once; what it gives is kept in build/construct-VERSION.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import tempfile
from importlib.metadata import version
from pathlib import Path

VERSION = version("construct")
BUILD = Path(__file__).resolve().parents[3] / "build" / f"construct-{VERSION}"
TESTS = BUILD / f"construct-{VERSION}" / "tests"
EXTRAS = BUILD / "extras"
"""What some of the tests import, as the archive's own `extras` name it."""
INDEX_TIMEOUT_S = 20


class UnreachableError(Exception):
    """The archive is not here, and the package index does not give it."""


def pip(*words: str) -> None:
    command = [sys.executable, "-m", "pip", *words, "--quiet", f"--timeout={INDEX_TIMEOUT_S}"]
    command += ["--retries=1", "--disable-pip-version-check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if "ERROR" in line]
        raise UnreachableError(lines[-1] if lines else f"pip ended with {done.returncode}")


def suite() -> Path:
    """The folder of the tests; raises UnreachableError."""
    if not BUILD.is_dir():
        with tempfile.TemporaryDirectory() as folder:
            arriving = Path(folder)
            release = f"construct=={VERSION}"
            pip("download", "--no-deps", "--no-binary=:all:", f"--dest={arriving}", release)
            pip("install", f"--target={arriving / EXTRAS.name}", f"construct[extras]=={VERSION}")
            for archive in arriving.glob("*.tar.gz"):
                with tarfile.open(archive) as tar:
                    tar.extractall(arriving, filter="data")
            shutil.copytree(arriving, BUILD)
    if not TESTS.is_dir():
        raise UnreachableError(f"the archive of construct {VERSION} has no tests")
    return TESTS
