"""The application: all commands, and the exit codes of their exceptions."""

from __future__ import annotations

import os
import stat
import sys
import traceback
from contextlib import nullcontext
from typing import TYPE_CHECKING

import cyclopts

from iotsim import __version__
from iotsim.cli.github import workflow
from iotsim.cli.help import Help, shown_default
from iotsim.cli.terminal import safe_output
from iotsim.errors import IotsimError, MachineError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

EXIT_ERROR = 2
EXIT_SKIPPED = 3
EXIT_EMPTY = 5
EXIT_INTERRUPTED = 130
RUN_HELP = """Run scenarios and judge them.

What stands behind `--` replaces the gateway's command: iotsim run quickstart -- ./my-gateway

Exit code: 0 passed, 1 failed, 2 error, 3 skipped (this machine cannot), 4 inconclusive, \
5 empty (nothing was checked)."""
CHECK_HELP = """Say what is wrong with scenarios, without running them.

Exit code: 0 nothing is, 2 something is, 5 there is no scenario."""
SHOW_HELP = """Show what happened in a run: its events, a line each.

A line has the time in seconds of the run, how long that is after the line before, the device, the kind \
of event and what it tells; a message has its number, and an answer that of what it answers, and how long \
that took.

Exit code: 0 there were some, 2 error, 5 there were none."""
DECODE_HELP = """Decode datagrams: one in hex, those of a capture, or what passes an interface.

A capture's are those from or to the protocol's port, each with what it is in its conversation.

Exit code: 0 all were messages, 2 one was none or the capture is damaged, 3 the interface cannot be heard, \
5 there were none."""
COMPARE_HELP = """Say what has changed from one run to another, or from one suite to another.

Exit code: 0 nothing is worse, 1 something is, 2 the input is wrong, \
4 something cannot be told (a run was inconclusive, or too short)."""

app = cyclopts.App(
    name="iotsim",
    help="Simulated IoT devices with IP addresses of their own, behind a TUN interface.",
    version=__version__,
    help_format="plaintext",  # any other imports a Markdown parser, which takes half the time again
    help_formatter=Help(),
    default_parameter=cyclopts.Parameter(show_default=shown_default),
    result_action="return_value",
    suppress_keyboard_interrupt=False,
)
USAGE = {
    "run": "Usage: iotsim run [OPTIONS] [SCENARIO...] [-- COMMAND]",
    "exec": "Usage: iotsim exec [RUN] -- COMMAND",
    "check": "Usage: iotsim check [OPTIONS] [SCENARIO...]",
}
"""Of the commands that take what stands behind ``--``, which the parser never sees, or whose words the
parser has no better name for."""
QUOTING = frozenset(("check", "compare", "decode", "explain", "history", "show"))
"""The commands, besides ``run``, that print what scenarios, gateways and datagrams say."""
# Named by path, so that one command's imports are not every command's; for which the overview has to
# be told what they do.
for _name, _path, _help in (
    ("run", "iotsim.cli.run:run", RUN_HELP),
    ("check", "iotsim.cli.check:check", CHECK_HELP),
    (
        "explain",
        "iotsim.cli.explain:explain",
        "Say what a device would do about a datagram, and why.",
    ),
    ("schema", "iotsim.cli.schema:schema", "Print the JSON Schema of scenarios, or of results."),
    ("show", "iotsim.cli.show:show", SHOW_HELP),
    ("report", "iotsim.cli.report:report", "Make the documents of a run again from its events."),
    ("compare", "iotsim.cli.compare:compare", COMPARE_HELP),
    ("history", "iotsim.cli.history:history", "Show how the scenarios of a project have fared."),
    ("exec", "iotsim.cli.execute:execute", "Run a tool inside a running scenario's network."),
    (
        "doctor",
        "iotsim.cli.doctor:doctor",
        "Check what this machine offers, and how to fix the rest.",
    ),
    ("link", "iotsim.cli.link:app", "Make and remove interfaces that are used without root."),
    ("init", "iotsim.cli.init:init", "Write a scenario, a protocol and a behavior to start from."),
    ("protocols", "iotsim.cli.protocols:app", "List, show and check protocols."),
    ("decode", "iotsim.cli.decode:decode", DECODE_HELP),
):
    _options = {"usage": USAGE[_name]} if _name in USAGE else {}
    app.command(_path, name=_name, help=_help, **_options)

_external_command: list[str] = []


def external_command() -> tuple[str, ...]:
    """What stood behind ``--`` on the command line: a command of the user's, not for us to parse."""
    return tuple(_external_command)


def run_command_line(arguments: Sequence[str]) -> int:
    """Run one command; its exit code. What a user did wrong is said in a line, without traceback."""
    with safe_output(), workflow() if _is_for_people(arguments) else nullcontext():
        return _run(arguments)


def _is_for_people(arguments: Sequence[str]) -> bool:
    """Whether what is printed has words of others in it, and is read by people in a log: what programs read
    gets nothing besides, nor does a file."""
    command, *options = arguments or [""]
    if command == "run":
        return "--list" not in options
    return command in QUOTING and "--json" not in options and not _goes_to_file()


def _goes_to_file() -> bool:
    try:
        return stat.S_ISREG(os.fstat(sys.stdout.fileno()).st_mode)
    except (OSError, ValueError, AttributeError):
        return False


def _run(arguments: Sequence[str]) -> int:
    ours = list(arguments)
    _external_command.clear()
    if "--" in ours:
        dashes = ours.index("--")
        ours, _external_command[:] = ours[:dashes], ours[dashes + 1 :]
    return guarded(lambda: app(ours, exit_on_error=False, print_error=False))


def guarded(command: Callable[[], object]) -> int:
    """Do what `command` does; its exit code, or that of the exception that ends it, which is told."""
    try:
        code = command()
    except cyclopts.CycloptsError as error:
        print(f"iotsim: {error}", file=sys.stderr)
        return EXIT_ERROR
    except MachineError as error:
        print(f"iotsim: {error}", file=sys.stderr)
        return EXIT_SKIPPED
    except IotsimError as error:
        print(f"iotsim: {error}", file=sys.stderr)
        return EXIT_ERROR
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except (Exception, BaseExceptionGroup):
        # With Python's own exit status, 1, this would be blamed on the gateway.
        traceback.print_exc()
        print("iotsim: this is a fault of iotsim itself", file=sys.stderr)
        return EXIT_ERROR
    return code if isinstance(code, int) else 0
