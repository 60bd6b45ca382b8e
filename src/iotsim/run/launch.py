"""How the gateway's process is started: all of it is settled before there is a testbed to start it in.

So whoever the run's process becomes once its helper has been started, the gateway's working folder is
the gateway's own, and what a scenario asks for and cannot have is told at once.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from iotsim.run.site import isolation_of
from iotsim.testbed import rights
from iotsim.testbed.bed import OPEN, GatewayStartError, Open, Streams

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from iotsim.run.folder import ResultsFolder
    from iotsim.scenario.model import GatewaySpec, Scenario
    from iotsim.testbed.users import User


@dataclass(frozen=True)
class Launch:
    """A command, and what it finds. `user` None is whoever runs iotsim. `place` is where the command stands
    in the scenario, "" if it was given; `missed` are the folders that do not have what its first word names.
    """

    command: tuple[str, ...]
    env: Mapping[str, str]
    cwd: Path
    user: User | None = None
    capabilities: int = 0
    terminal: bool = True
    stdin: Path | Open | None = None
    """The file that it reads; None is an input that has ended."""
    place: str = ""
    missed: tuple[Path, ...] = ()

    def open_streams(self) -> Streams:
        """Its standard streams. GatewayStartError if the file for its input cannot be opened."""
        if not isinstance(self.stdin, Path):
            return Streams(terminal=self.terminal, stdin=self.stdin)
        try:
            # A FIFO that nobody writes to yet must not keep us waiting.
            fd = os.open(self.stdin, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            os.set_blocking(fd, True)
        except OSError as error:
            raise GatewayStartError(
                f"the gateway cannot be started: its stdin, {self.stdin}: {error.strerror}"
            ) from error
        return Streams(terminal=self.terminal, stdin=fd)

    def refused(self, error: GatewayStartError) -> GatewayStartError:
        """What to say of `error`: also where the command stands, and where it was looked for."""
        text = f"{self.place}: {error}" if self.place else str(error)
        if self.missed and f": {self.command[0]}: " in text:
            text += f" (looked for in {' and '.join(map(str, self.missed))})"
        return GatewayStartError(text)


def prepare_launch(
    scenario: Scenario, results: ResultsFolder, *, gateway_given: bool
) -> Launch | None:
    """How to start the gateway of `scenario`; None if it is none of ours.

    Makes its working folder. `gateway_given`: its command was given on the command line.
    GatewayStartError if there is no such user; `rights.RightsError` if it cannot be had.
    """
    spec = scenario.gateway
    if spec is None or not spec.command:
        return None

    def expand(text: str) -> str:
        return scenario.expand(text, results.path)

    private = isolation_of(scenario) == "private"
    try:
        user = rights.gateway_user(spec.user, private=private)
    except LookupError as error:
        raise GatewayStartError(f"the gateway cannot be started: {error.args[0]}") from None
    rights.check_capabilities(spec.capabilities, private=private)
    words, missed = [], []
    for number, word in enumerate(spec.command):
        beside = places(scenario.gateway_folder("command", number))
        folders = [Path.cwd(), *beside] if gateway_given else beside
        words.append(locate(expand(word), folders))
        if number == 0 and _is_relative(words[0]):
            missed = [*dict.fromkeys(folder.absolute() for folder in folders)]
    own = {name: expand(text) for name, text in spec.env.items()}
    return Launch(
        command=tuple(words),
        env=gateway_environment(own, results.path, user),
        cwd=_working_folder(scenario, spec, results, user),
        user=user,
        capabilities=spec.capabilities,
        terminal=spec.terminal,
        stdin=_stdin(scenario, spec, results.path),
        place="" if gateway_given else spec.place,
        missed=tuple(missed),
    )


def _stdin(scenario: Scenario, spec: GatewaySpec, results: Path) -> Path | Open | None:
    if spec.stdin is None:
        return None
    if spec.stdin == OPEN.value:
        return OPEN
    return scenario.gateway_folder("stdin") / scenario.expand(spec.stdin, results)


def _working_folder(
    scenario: Scenario, spec: GatewaySpec, results: ResultsFolder, user: User | None
) -> Path:
    if spec.cwd is not None:
        return scenario.gateway_folder("cwd").absolute() / scenario.expand(spec.cwd, results.path)
    folder = results.make_folder()
    if user is not None:
        os.chown(folder, user.uid, user.gid)
    return folder


def gateway_environment(
    extra: Mapping[str, str], results: Path, user: User | None = None
) -> dict[str, str]:
    """Our own environment, whose it is, where the results go, and what the scenario adds."""
    whose = {} if user is None else user.environment
    return {**os.environ, **whose, "IOTSIM_RESULTS": str(results), **extra}


def places(folder: Path) -> list[Path]:
    """Where a file is looked for that a word of a command names, which stands in a file in `folder`."""
    return [folder, folder.absolute().parent]


def locate(word: str, folders: Sequence[Path]) -> str:
    """A word of a command: the file that it names in the first of `folders` to have it.

    They run in folders of their own, so what was written relative must be made absolute.
    Links are kept: the interpreter of a virtual environment is one, and knows by it where it is. What
    is no relative path, or names no file, stays as it is.
    """
    if _is_relative(word):
        for folder in folders:
            # os.path's, unlike pathlib's, takes what can be no name, such as a script, for no file.
            if os.path.isfile(folder / word):  # noqa: PTH113
                return str(folder.absolute() / word)
    return word


def _is_relative(word: str) -> bool:
    """Whether it may name a file relative to a folder, and not a program of the PATH or an option."""
    return bool(word) and not word.startswith(("/", "-")) and ("/" in word or "." in word)
