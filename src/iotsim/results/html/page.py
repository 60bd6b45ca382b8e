"""``report.html``: the page that shows a run, as one file.

The template lays out what has to be there before anything else, and without a script: the verdict and each
expectation. What is looked into (messages, times, devices, output) travels as JSON, and the scripts draw it.

Whatever the document holds is text of others. The template escapes it; in JSON, what could end the element
that it stands in is escaped, too; the scripts make text nodes of it and nothing else. And the page's policy
lets nothing run and nothing look good but its own script and style, told by their hashes, and nothing load.
"""

from __future__ import annotations

import base64
import functools
import hashlib
from importlib import resources
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from iotsim.results.html.data import encode_data
from iotsim.results.html.index import LATEST

if TYPE_CHECKING:
    from collections.abc import Mapping

_STYLES = ("style.css", "diagram.css", "charts.css", "print.css")
_SCRIPTS = (
    "dom.js",
    "run.js",
    "format.js",
    "theme.js",
    "list.js",
    "items.js",
    "bytes.js",
    "diagram.js",
    "filter.js",
    "explorer.js",
    "failures.js",
    "scale.js",
    "chart.js",
    "lanes.js",
    "timeline.js",
    "devices.js",
    "shades.js",
    "fleet.js",
    "output.js",
    "main.js",
)
"""In the order in which they are read: they share one scope, and make one script."""

_GRAVITY = ("error", "failed", "inconclusive", "warning", "passed")
"""States of expectations, in the order in which they are shown."""


def render_page(document: dict[str, Any]) -> bytes:
    """The page of a run, of which `document` tells (see `iotsim.results.html.data`), in UTF-8."""
    style, script = _joined(_STYLES), _joined(_SCRIPTS)
    page: str = _template().render(
        document=document,
        run=document["run"],
        expectations=sorted(document["expectations"], key=_gravity),
        data=Markup(encode_data(document)),
        style=Markup(style),
        script=Markup(script),
        style_hash=_hash(style),
        script_hash=_hash(script),
    )
    return page.encode("utf-8", "backslashreplace")


def _gravity(expectation: Mapping[str, Any]) -> int:
    return _GRAVITY.index(expectation["state"])


@functools.cache
def _template() -> Any:
    environment = Environment(
        loader=PackageLoader("iotsim.results.html", "page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(count=_count, seconds=_seconds, plural=_plural)
    return environment.get_template("report.html.jinja")


@functools.cache
def _joined(names: tuple[str, ...]) -> str:
    folder = resources.files("iotsim.results.html").joinpath("page")
    texts = [folder.joinpath(name).read_text(encoding="utf-8") for name in names]
    if names is _SCRIPTS:
        texts = ['(() => {\n"use strict";\n', *texts, "})();\n"]
    return "\n".join(texts)


def _hash(text: str) -> str:
    """What a Content-Security-Policy calls an element with this text."""
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"'sha256-{digest}'"


def _count(number: int | str) -> str:
    """``12 345``, with narrow spaces that do not break. One that is text, as of forged results, stays."""
    return number if isinstance(number, str) else f"{number:,}".replace(",", "\u202f")


def _seconds(seconds: float) -> str:
    if not abs(seconds) < LATEST:
        return f"{seconds:.3g} s"
    if seconds < 120:
        return f"{seconds:.3f} s" if seconds < 10 else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"


def _plural(number: int, noun: str) -> str:
    """``1 device``, ``12 devices``."""
    return f"{_count(number)} {noun}{'' if number == 1 else 's'}"
