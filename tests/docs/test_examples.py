"""Runs every example in README.md and docs/*.md; a block that is not run fails.

A page has a working folder of its own, and its blocks run in order. A fenced block is one of:

``toml title="x.toml"``, ``python title="a/b.py"``, ``csv title=…`` (any language)
    is written to that file in the page's folder; another block of the page must make use of it.
``toml``
    must pass ``iotsim check``.
``toml fragment``
    must pass it together with a minimal scenario with a fleet ``meter`` of SensorNet devices.
``console``
    each line that starts with ``$ `` is run by bash in the page's folder, and the lines below it
    are its output, both streams: ``...`` alone on a line stands for any number of lines, inside a
    line for any text. ``[exit N]`` as the last line is the exit status; without it that must be 0.
``text``, ``json``
    may be shown without being run if the line before says why: ``<!-- shown: why -->``.

Anything else fails, with page and line. A page that says ``<!-- in a clone -->`` starts with copies
of the repository's ``scenarios``, ``examples``, ``protocols`` and ``tests/gateways`` in its folder; one
that says
``<!-- needs: tun, ping -->`` is skipped where the machine lacks these, as by the marker `needs`.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests import needs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from _pytest.mark import ParameterSet

REPOSITORY = Path(__file__).resolve().parents[2]
PAGES = [
    page.relative_to(REPOSITORY)
    for page in [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").rglob("*.md"))]
    if page.exists()
]
ATTEMPTS = 3
COMMAND_TIMEOUT_S = 60
ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")

BASE_TABLES = {
    "scenario": '[scenario]\nname = "A fragment"\nduration = "5s"\n',
    "devices.meter": (
        '[devices.meter]\ncount = 2\naddress = "10.77.1.1"\nprotocol = "sensornet"\n'
    ),
    "devices.meter.signals": (
        '[devices.meter.signals]\ntemperature = { kind = "constant", value = 20 }\n'
    ),
}


# ------------------------------------------------------------------------------ pages and blocks


@dataclass(frozen=True)
class Block:
    page: str
    line: int
    language: str
    attributes: str
    text: str
    shown: bool

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def title(self) -> str:
        match = re.search(r'\btitle="([^"]+)"', self.attributes)
        return match[1] if match else ""


@dataclass(frozen=True)
class Command:
    place: str
    text: str
    output: tuple[str, ...]
    status: int


class ExampleError(AssertionError):
    """An example that does not hold: the page is wrong, or the program is."""


def parse_blocks(page: str, text: str) -> list[Block]:
    """The fenced blocks of a page, also those inside lists; ExampleError if one does not end."""
    blocks = []
    previous = ""  # the last line that is not blank, outside of blocks
    lines = iter(enumerate(text.splitlines(), start=1))
    for number, line in lines:
        opening = re.match(r"^(\s*)(`{3,}|~{3,})\s*(\S*)\s*(.*)$", line)
        if not opening:
            previous = line.strip() or previous
            continue
        indent, fence, language, attributes = opening.groups()
        body = []
        for _, inner in lines:
            if re.match(rf"^\s*{fence[0]}{{{len(fence)},}}\s*$", inner):
                break
            body.append(inner.removeprefix(indent))
        else:
            raise ExampleError(f"{page}:{number}: the block does not end")
        shown = re.fullmatch(r"<!--\s*shown:\s*\S.*-->", previous) is not None
        content = "".join(f"{line}\n" for line in body)
        blocks.append(Block(page, number, language, attributes, content, shown))
        previous = ""
    return blocks


def parse_console(block: Block) -> list[Command]:
    """The commands of a console block, each with the output that is under it."""
    commands: list[Command] = []
    texts: list[tuple[int, str, list[str]]] = []
    for number, line in enumerate(block.text.splitlines(), start=block.line + 1):
        if texts and not texts[-1][2] and texts[-1][1].endswith("\\"):
            start, text, output = texts[-1]
            texts[-1] = (start, f"{text}\n{line.removeprefix('> ')}", output)
        elif line.startswith("$ "):
            texts.append((number, line[2:], []))
        elif texts:
            texts[-1][2].append(line)
        else:
            raise ExampleError(f"{block.page}:{number}: a console block starts with '$ '")
    for number, text, output in texts:
        status = 0
        current = trimmed(output)
        if current and (match := re.fullmatch(r"\[exit (\d+)\]", current[-1])):
            status = int(match[1])
            current = trimmed(current[:-1])
        commands.append(Command(f"{block.page}:{number}", text, tuple(current), status))
    if not commands:
        raise ExampleError(f"{block.place}: the console block has no command")
    return commands


def trimmed(lines: list[str]) -> list[str]:
    """`lines` without blanks at their ends, and without blank lines at the end."""
    lines = [line.rstrip() for line in lines]
    while lines and not lines[-1]:
        lines.pop()
    return lines


# ------------------------------------------------------------------------------ matching


def line_matches(expected: str, actual: str) -> bool:
    pattern = ".*".join(map(re.escape, expected.split("...")))
    return re.fullmatch(pattern, actual) is not None


def match_output(expected: tuple[str, ...], actual: list[str]) -> int | None:
    """None when the output is as expected, else the index of the first line that nothing matches.

    That index is the number of expected lines that can be satisfied from the start; it equals
    ``len(expected)`` when there is output beyond what was expected.
    """
    reachable = {0}  # positions in `actual` that the lines so far can end at
    for index, line in enumerate(expected):
        if line.strip() == "...":
            reachable = set(range(min(reachable), len(actual) + 1))
            continue
        reachable = {
            position + 1
            for position in reachable
            if position < len(actual) and line_matches(line, actual[position])
        }
        if not reachable:
            return index
    return None if len(actual) in reachable else len(expected)


# ------------------------------------------------------------------------------ running


class Page:
    """One page and its working folder."""

    def __init__(self, page: Path, folder: Path, environment: dict[str, str]) -> None:
        self.name = str(page)
        self.text = (REPOSITORY / page).read_text()
        self.folder = folder
        self.environment = environment
        self.to_check: list[Block] = []

    def run(self) -> None:
        blocks = parse_blocks(self.name, self.text)
        if re.search(r"<!--\s*in a clone\s*-->", self.text):
            for name in ("scenarios", "examples", "protocols", "tests/gateways"):
                shutil.copytree(REPOSITORY / name, self.folder / name)
        for block in blocks:
            self.run_block(block, blocks)
        self.check_scenarios()

    def run_block(self, block: Block, blocks: list[Block]) -> None:
        if block.title:
            self.write(block, blocks)
        elif block.language == "console":
            for command in parse_console(block):
                self.run_command(command)
        elif block.language == "toml":
            self.to_check.append(block)
        elif block.language not in ("text", "json"):
            raise ExampleError(f"{block.place}: a {block.language or 'plain'} block is not run")
        elif not block.shown:
            raise ExampleError(f"{block.place}: not run, and no <!-- shown: why --> before it")

    def write(self, block: Block, blocks: list[Block]) -> None:
        path = self.folder / block.title
        if not path.resolve().is_relative_to(self.folder.resolve()):
            raise ExampleError(f"{block.place}: {block.title} is outside the page's folder")
        # Used means named: by path, file or module name, or by the folder that a command is given.
        names = {block.title, path.name, path.stem, *Path(block.title).parts[:1]}
        uses = re.compile(r"(?<![\w-])(?:" + "|".join(map(re.escape, names)) + r")(?![\w-])")
        if not any(uses.search(other.text) for other in blocks if other is not block):
            raise ExampleError(f"{block.place}: nothing on the page makes use of {block.title}")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block.text)

    def run_command(self, command: Command) -> None:
        """Run it, and hold it to what the page says. A run that was inconclusive is repeated: the machine was
        busy, which says nothing of the page."""
        for _ in range(ATTEMPTS):
            status, output = self.bash(command.text)
            actual = trimmed(ANSI.sub("", output).splitlines())
            wrong = match_output(command.output, actual)
            if wrong is None and status == command.status:
                return
            if not any("inconclusive" in line.lower() for line in actual):
                break
        report = [f"{command.place}: $ {command.text}"]
        if status != command.status:
            report.append(f"exit status {status}, expected {command.status}")
        if wrong is not None:
            beyond = wrong == len(command.output)
            report.append(
                "more output than expected" if beyond else f"not there: {command.output[wrong]!r}"
            )
            report += ["expected:", *(f"  {line}" for line in command.output)]
        raise ExampleError("\n".join([*report, "actual:", *(f"  {line}" for line in actual)]))

    def check_scenarios(self) -> None:
        """All scenarios that are only shown, in one ``iotsim check``: their names say the line."""
        names = []
        for block in self.to_check:
            name = f"line-{block.line}.toml"
            whole = complete(block.text) if "fragment" in block.attributes else block.text
            (self.folder / name).write_text(whole)
            names.append(name)
        if not names:
            return
        status, output = self.bash(f"iotsim check {' '.join(names)}")
        if status:
            raise ExampleError(f"{self.name}: iotsim check says {status}\n{output}")

    def bash(self, text: str) -> tuple[int, str]:
        """Run `text` in the page's folder; status and output, both streams."""
        environment = {
            **self.environment,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "NO_COLOR": "1",
            "TERM": "dumb",
            "COLUMNS": "100",
            "HOME": str(self.folder),
            "PYTHONUNBUFFERED": "1",
        }
        process = subprocess.Popen(
            ["bash", "-c", text],
            cwd=self.folder,
            env=environment,
            text=True,
            errors="replace",
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        try:
            output, _ = process.communicate(timeout=COMMAND_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            output, _ = process.communicate()
            output += f"\n(ended after {COMMAND_TIMEOUT_S} s)"
        return process.returncode, output


def complete(fragment: str) -> str:
    """`fragment` behind those tables of a minimal scenario that it does not have itself."""
    headers = set(re.findall(r"(?m)^\s*\[([\w.]+)\]", fragment))
    return "\n".join(text for name, text in BASE_TABLES.items() if name not in headers) + fragment


def needs_of(text: str) -> list[str]:
    """What a page says that it needs of the machine."""
    match = re.search(r"<!--\s*needs:\s*([\w, ]+?)\s*-->", text)
    return re.split(r",\s*", match[1]) if match else []


def param_of(page: Path) -> ParameterSet:
    names = needs_of((REPOSITORY / page).read_text())
    return pytest.param(page, id=str(page), marks=pytest.mark.needs(*names))


@pytest.fixture(scope="module")
def runs(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    iotsim_environment: dict[str, str],
) -> Iterator[dict[Path, Future[None]]]:
    """The pages that were selected, some at a time: most of their time is waiting, and yet what they run must
    not starve."""
    selected = {
        item.callspec.params["page"]
        for item in request.session.items
        if isinstance(item, pytest.Function)
        and item.originalname == test_page.__name__
        and not needs.reason_to_skip(needs.needs_of(item))
    }
    with ThreadPoolExecutor(max_workers=2) as pool:
        yield {
            page: pool.submit(
                Page(page, tmp_path_factory.mktemp(page.stem), iotsim_environment).run
            )
            for page in PAGES
            if page in selected
        }


@pytest.mark.parametrize("page", [param_of(page) for page in PAGES])
def test_page(page: Path, runs: dict[Path, Future[None]]) -> None:
    runs[page].result()


# ------------------------------------------------------------------------------ the runner itself


@pytest.mark.parametrize(
    ("expected", "actual", "wrong"),
    [
        ((), [], None),
        (("a",), ["a"], None),
        (("a",), ["b"], 0),
        (("a",), [], 0),
        ((), ["a"], 0),
        (("a",), ["a", "b"], 1),
        (("...",), [], None),
        (("...",), ["a", "b"], None),
        (("a", "...", "d"), ["a", "b", "c", "d"], None),
        (("a", "...", "b", "c"), ["a", "b", "b", "c"], None),
        (("a", "...", "x"), ["a", "b"], 2),
        (("took ... s",), ["took 1.2 s"], None),
        (("took ... s",), ["took 1.2 ms"], 0),
        (("took ...s!",), ["took 1.2 s"], 0),
        (("a.b (c)*",), ["a.b (c)*"], None),
        (("a.b",), ["axb"], 0),
        (("...", "b", "..."), ["a", "b", "c"], None),
    ],
)
def test_match_output(expected: tuple[str, ...], actual: list[str], wrong: int | None) -> None:
    assert match_output(expected, actual) == wrong


def make_page(folder: Path, text: str) -> Page:
    page = Page.__new__(Page)
    page.name, page.text, page.folder, page.to_check = "p.md", text, folder, []
    page.environment = dict(os.environ)
    return page


def test_blocks_are_found_with_their_lines_and_attributes() -> None:
    blocks = parse_blocks(
        "p.md",
        'a\n```toml title="x.toml"\nb = 1\n```\n- item\n  ```console\n  $ ls\n    x\n  ```\n'
        "<!-- shown: a picture -->\n\n````text\n```\n````\n",
    )
    assert [(b.line, b.language, b.title, b.text, b.shown) for b in blocks] == [
        (2, "toml", "x.toml", "b = 1\n", False),
        (6, "console", "", "$ ls\n  x\n", False),
        (12, "text", "", "```\n", True),
    ]


def test_console_commands_have_outputs_and_statuses() -> None:
    text = "$ one\na\n\n[exit 3]\n$ two \\\n>   more\n$ three\n"
    commands = parse_console(Block("p.md", 10, "console", "", text, shown=False))
    assert commands == [
        Command("p.md:11", "one", ("a",), 3),
        Command("p.md:15", "two \\\n  more", (), 0),
        Command("p.md:17", "three", (), 0),
    ]


def test_a_page_runs_in_order_in_one_folder(tmp_path: Path) -> None:
    page = make_page(
        tmp_path,
        '```csv title="sub/a.csv"\n1,2\n```\n'
        "```console\n$ cd sub && cat a.csv; exit 4\n1,...\n[exit 4]\n$ ls\nsub\n```\n",
    )
    page.run()


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("```bash\nls\n```\n", "p.md:1: a bash block is not run"),
        ("\n```\nls\n```\n", "p.md:2: a plain block is not run"),
        ("```python\nx = 1\n```\n", "p.md:1: a python block is not run"),
        ("```text\nx\n```\n", "p.md:1: not run, and no"),
        ("<!-- shown: -->\n```json\n{}\n```\n", "p.md:2: not run, and no"),
        ("```text\nx\n", "p.md:1: the block does not end"),
        ("```console\n```\n", "p.md:1: the console block has no command"),
        ("```console\nls\n```\n", "p.md:2: a console block starts with"),
        ("```console\n$ echo a\nb\n```\n", r"p.md:2: \$ echo a\nnot there: 'b'"),
        ("```console\n$ echo a\n```\n", "more output than expected"),
        ("```console\n$ exit 2\n```\n", "exit status 2, expected 0"),
        ('```python title="a.py"\n```\n', "nothing on the page makes use of a.py"),
        ('```python title="../a.py"\n```\n', "outside the page's folder"),
    ],
)
def test_what_is_not_run_or_wrong_fails(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(ExampleError, match=complaint):
        make_page(tmp_path, text).run()


def test_a_page_says_what_it_needs() -> None:
    assert needs_of("# Title\n<!-- needs: root, tun,ping -->\n") == ["root", "tun", "ping"]
    assert needs_of("# Title\n<!-- in a clone -->\n") == []


def test_a_fragment_gets_the_tables_that_it_lacks() -> None:
    whole = complete('[scenario]\nname = "x"\n[[devices.meter.rules]]\ndrop = true\n')
    assert whole.count("[scenario]") == 1
    assert "[devices.meter]\n" in whole
    assert whole.endswith("drop = true\n")
