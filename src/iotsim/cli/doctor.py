"""``iotsim doctor``: what this machine offers, and the line that fixes what it does not."""

from __future__ import annotations


def doctor() -> int:
    """Check what this machine offers for running scenarios, and print how to fix what is missing."""
    from iotsim.cli.console import make_console
    from iotsim.testbed.doctor import run_checks

    console = make_console()
    checks = run_checks()
    for check in checks:
        mark = "[green]ok  [/]" if check.ok else "[red]no  [/]"
        console.print(f"{mark} [bold]{check.name}[/]: ", end="")
        console.print(check.detail, markup=False)
        if not check.ok and check.fix:
            console.print(f"     fix: {check.fix}", markup=False)
    missing = [check for check in checks if not check.ok and check.required]
    if missing:
        print("\nScenarios on a tun link are skipped here; `--link loopback` is the lesser way.")
        return 3
    print("\nThis machine can run scenarios.")
    return 0
