"""``iotsim init DIR``: a scenario, a protocol and a behavior to start from."""

from __future__ import annotations

import sys
from pathlib import Path

STARTER = Path(__file__).parent / "starter"


def init(directory: Path = Path(), /) -> int:
    """Write a starter scenario, protocol, behavior and gateway that run as they are.

    Parameters
    ----------
    directory
        Where to; made if it is not there. No file that exists is overwritten.
    """
    sources = [path for path in sorted(STARTER.rglob("*")) if path.suffix in (".py", ".toml")]
    targets = [directory / path.relative_to(STARTER) for path in sources]
    existing = [str(target) for target in targets if target.exists()]
    if existing:
        print(
            f"iotsim: nothing written, since there is already: {', '.join(existing)}",
            file=sys.stderr,
        )
        return 2
    try:
        for source, target in zip(sources, targets, strict=True):
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(source.read_bytes())
            print(f"wrote {target}")
    except OSError as error:
        print(f"iotsim: {error}", file=sys.stderr)
        return 2
    where = "" if directory == Path() else f"cd {directory} && "
    print(f"\nNow: {where}iotsim run scenario.toml")
    return 0
