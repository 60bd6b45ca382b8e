"""How a comparison of runs is shown in a terminal."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from iotsim.cli.table import print_table, terminal_columns
from iotsim.expect.text import plural
from iotsim.results.compare.comparison import OK
from iotsim.results.compare.figures import SECONDS, TOO_FEW, change_text, value_text
from iotsim.safetext import safe_line
from iotsim.units import format_duration

if TYPE_CHECKING:
    from collections.abc import Iterator

    from iotsim.results.compare.comparison import Comparison, Side
    from iotsim.results.compare.devices import Changed, DeviceChanges, Named
    from iotsim.results.compare.figures import Figure
    from iotsim.results.compare.vocabulary import Word
    from iotsim.run.compare import SuiteComparison

COUNTERS_TOLD = 10
WORDS_TOLD = 10
DEVICES_TOLD = 5
LEAST_CHANGE = 0.02
"""A counter that has changed by a smaller share is not told of."""
LEAST_COLUMNS = 20
STATES = {"ok": "NOTHING WORSE", "worse": "WORSE", "unsure": "CANNOT BE TOLD"}
BRIEF = {"ok": "ok", "worse": "worse", "unsure": "unsure"}


def show_comparison(told: SuiteComparison) -> None:
    """Print `told`: of one pair of runs all of it, of several what is worse or cannot be told."""
    several = len(told.scenarios) + len(told.gone) + len(told.new) > 1
    for one in told.scenarios:
        if several and one.comparison.state == OK:
            say("  ok      ", one.name)
        elif several:
            say(f"  {BRIEF[one.comparison.state]:<6}  ", one.name)
    for line in told.worse:
        say("  worse   ", line)
    for line in told.unsure:
        say("  unsure  ", line)
    shown = [*told.worse, *told.unsure]
    for label, names in (("gone", told.gone), ("new", told.new)):
        for name in names:
            if not any(line.startswith(f"{name}: ") for line in shown):
                say(f"  {label:<6}  ", name)
    for one in told.scenarios:
        if not several or one.comparison.state != OK:
            if several:
                print()
            say("", one.name)
            _show_one(one.comparison)
    if told.notes:
        print()
    for note in told.notes:
        say("  note    ", note)
    print()
    worse = len(told.worse) + sum(len(one.comparison.worse) for one in told.scenarios)
    unsure = len(told.unsure) + sum(len(one.comparison.unsure) for one in told.scenarios)
    counts = [f"{worse} worse"] if worse else []
    counts += [f"{unsure} cannot be told"] if unsure else []
    say(f"{STATES[told.state]}  ", ", ".join(counts))


def _show_one(told: Comparison) -> None:
    _show_side("before", told.before)
    _show_side("after ", told.after)
    for note in told.notes:
        say("  note    ", note)
    for line in told.worse:
        say("  worse   ", line)
    for line in told.unsure:
        say("  unsure  ", line)
    for change in told.expectations:
        if change.change in ("mended", "new") or change.after == "warning":
            word = "warns" if change.after == "warning" else change.change
            say(
                f"  {word:<6}  ", f"{change.name}: {change.before or 'not there'} -> {change.after}"
            )
    held = sum(one.state == "held" for one in told.thresholds)
    if held:
        say("  held    ", f"{held} of {len(told.thresholds)} thresholds")
    figures = [one for one in told.figures if one.before != one.after and not _says_little(one)]
    large = [one for one in told.counters if abs(one.relative or 1.0) >= LEAST_CHANGE]
    large = large[:COUNTERS_TOLD]
    _show_figures("figure", figures)
    _show_figures("counter", large)
    if left := len(told.counters) - len(large) + told.counters_left_out:
        say("  ", f"and {plural(left, 'counter')} that changed less")
    for word, line in _device_lines(told.devices):
        say(f"  {word:<8}", line)
    _show_words("never seen before", told.new.words, told.new.total)
    _show_words("not seen any more", told.gone.words, told.gone.total)


def _says_little(figure: Figure) -> bool:
    """Whether it is a percentile of too few times, of which the median says as much."""
    return figure.doubt.startswith(TOO_FEW) and not figure.name.endswith(".p50")


def _show_side(label: str, side: Side) -> None:
    took = format_duration(float(f"{side.duration_s:.3g}"))
    verdict = side.verdict or "no verdict"
    say(f"  {label}  ", f"{verdict}, seed {side.seed}, {took}, {side.where}")


def _show_figures(title: str, figures: list[Figure]) -> None:
    if not figures:
        return
    rows = [
        [
            f"  {one.name.removeprefix('counter.')}",
            value_text(one.before, one.unit),
            value_text(one.after, one.unit),
            change_text(one),
            one.doubt,
        ]
        for one in figures
    ]
    print_table([[f"  {title}", "before", "after", "change", ""], *rows], cells=4)


def _device_lines(devices: DeviceChanges) -> Iterator[tuple[str, str]]:
    """What has become of devices, in a word, and of which."""
    named: list[tuple[str, Named]] = [
        ("silent", devices.silent),
        ("gone", devices.gone),
        ("new", devices.new),
    ]
    for word, names in named:
        if names.total:
            yield word, f"{_devices(names.total)}: {_listed(names.devices, names.total)}"
    changed: list[tuple[str, Changed]] = [
        ("slower", devices.slower),
        ("faster", devices.faster),
        ("quieter", devices.quieter),
        ("louder", devices.louder),
    ]
    for word, changes in changed:
        if changes.total:
            unit = SECONDS if word in ("slower", "faster") else ""
            texts = [
                f"{one.device} ({one.figure} {value_text(one.before, unit)}"
                f" -> {value_text(one.after, unit)})"
                for one in changes.devices
            ]
            yield word, f"{_devices(changes.total)}: {_listed(texts, changes.total)}"


def _devices(count: int) -> str:
    return "1 device" if count == 1 else f"{count} devices"


def _listed(texts: list[str], total: int) -> str:
    shown = texts[:DEVICES_TOLD]
    more = total - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")


def _show_words(title: str, words: list[Word], total: int) -> None:
    for word in words[:WORDS_TOLD]:
        say("  ", f"{title}: {word_text(word)}")
    if total > WORDS_TOLD:
        say("  ", f"{title}: {total - WORDS_TOLD} more")


def word_text(word: Word) -> str:
    """A kind, field or name of a protocol, for people: ``sensornet: REPORT sent with status.alarm``."""
    kind = word.kind or "a message"
    text = f"{word.protocol}: {kind} {word.direction}"
    if word.field:
        text += f" with {word.field}"
    return f"{text} = {word.name}" if word.name else text


def say(head: str, text: str) -> None:
    """Print `text` beside `head`, and below itself where it is too long for the terminal."""
    columns, text = terminal_columns(), safe_line(text)
    if not columns or len(head) + len(text) <= columns:
        print((head + text).rstrip())
        return
    room = max(columns - len(head), LEAST_COLUMNS)
    lines = textwrap.wrap(text, room, break_on_hyphens=False) or [""]
    for number, line in enumerate(lines):
        print((" " * len(head) if number else head) + line)
