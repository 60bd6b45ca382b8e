"""The page as a file: what it lets run, what stands in it, and that nothing of others is markup."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import subprocess
import sys
import zipfile
from html.parser import HTMLParser
from pathlib import Path

from tests.results.html import documents

from iotsim.results.html.page import render_page

REPOSITORY = Path(__file__).parents[3]


class Parsed(HTMLParser):
    """The elements of a page, with the text of those that have no markup inside."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.raw: dict[str, list[str]] = {"script": [], "style": []}
        self._open = ""
        self.text = ""
        self.feed(page.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._open = tag
        if tag in self.raw:
            self.raw[tag].append("")

    def handle_endtag(self, tag: str) -> None:
        self._open = ""

    def handle_data(self, data: str) -> None:
        if self._open in self.raw:
            self.raw[self._open][-1] += data
        else:
            self.text += data


def policy(parsed: Parsed) -> dict[str, list[str]]:
    text = next(
        attributes["content"]
        for tag, attributes in parsed.elements
        if tag == "meta" and attributes.get("http-equiv") == "Content-Security-Policy"
    )
    assert text is not None
    words = [part.split() for part in text.split(";")]
    return {name: values for name, *values in words}


def sha256(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def test_only_its_own_script_and_style_may_run_and_nothing_may_load() -> None:
    parsed = Parsed(render_page(documents.failed()))
    data, script = parsed.raw["script"]
    assert policy(parsed) == {
        "default-src": ["'none'"],
        "script-src": [sha256(script)],
        "style-src": [sha256(parsed.raw["style"][0])],
        "base-uri": ["'none'"],
        "form-action": ["'none'"],
    }
    assert json.loads(data)["run"]["scenario"] == "A cellar full of meters"
    for tag, attributes in parsed.elements:
        assert tag not in {"img", "iframe", "object", "embed", "link", "base"}
        assert not {name for name in attributes if name.startswith("on")} | {"src", "style"} & set(
            attributes
        )
        assert (attributes.get("href") or "#").startswith("#")


def test_hostile_text_is_no_markup() -> None:
    tame, hostile = (
        Parsed(render_page(documents.failed())),
        Parsed(render_page(documents.hostile())),
    )
    assert {tag for tag, _ in hostile.elements} <= {tag for tag, _ in tame.elements}
    assert len(hostile.raw["script"]) == 2
    assert policy(hostile) == policy(tame)
    assert json.loads(hostile.raw["script"][0])["run"]["scenario"] == " ".join(documents.HOSTILE)
    assert documents.HOSTILE[0] in hostile.text
    assert "{{ 7 * 7 }}" in hostile.text


def test_what_tells_scripts_and_pages_apart_is_escaped_in_data() -> None:
    page = render_page(documents.hostile())
    data = page.partition(b'id="data">')[2].partition(b"</script>")[0]
    assert not re.search("[<>&\u2028\u2029]", data.decode())


def test_expectations_stand_first_and_the_gravest_of_them_first() -> None:
    text = Parsed(render_page(documents.failed())).text
    places = [
        text.index(words)
        for words in (
            "A cellar full of meters",
            "each of meter (40 devices) receives kind READ within 1 s",
            "meter[39]: heard nothing in that time",
            "lamps are told to identify themselves",
            "answers of the cloud are fast",
            "readings reach the cloud",
            "Around the failures",
        )
    ]
    assert places == sorted(places)


def test_devices_that_failed_alike_are_told_of_once() -> None:
    document = documents.failed()
    alike = {
        "label": "device",
        "devices": ["meter[38]"],
        "text": "heard it late",
        "shown": "",
        "rows": [],
    }
    document["expectations"][0] |= {
        "nearest": "",
        "groups": [*document["expectations"][0]["groups"], alike],
    }
    for told in ("meter[39]: heard nothing in that time", "meter[38]: heard it late"):
        assert Parsed(render_page(document)).text.count(told) == 1


def test_what_broke_a_never_is_no_near_miss() -> None:
    document = documents.failed()
    document["expectations"] = [document["expectations"][0] | {"kind": "never"}]
    text = Parsed(render_page(document)).text
    assert "What came" in text
    assert "Nearest miss" not in text


def test_it_tells_how_the_gateway_ended() -> None:
    document = documents.passed()
    gateway = {"crashed": True, "signal": "SIGSEGV", "status": None, "last_lines": ["one", "<two>"]}
    for ended, told in (
        (gateway, "crashed, ended by SIGSEGV"),
        (gateway, "one\n<two>"),
        (gateway | {"crashed": False, "signal": "", "status": 0}, "exited with status 0"),
        (gateway | {"crashed": False, "signal": ""}, "still ran"),
    ):
        assert told in Parsed(render_page(document | {"gateway": ended})).text


def test_it_is_the_same_each_time() -> None:
    assert render_page(documents.failed()) == render_page(documents.failed())


def test_scripts_make_no_markup_of_data() -> None:
    folder = REPOSITORY / "src/iotsim/results/html/page"
    for script in folder.glob("*.js"):
        code = script.read_text()
        for way in (
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "Function(",
        ):
            assert way not in code, script.name


def test_the_wheel_has_the_page(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(words, cwd=REPOSITORY, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    here = REPOSITORY / "src/iotsim/results/html/page"
    expected = {f"iotsim/results/html/page/{path.name}" for path in here.iterdir()}
    with zipfile.ZipFile(wheel) as archive:
        assert expected <= set(archive.namelist())
