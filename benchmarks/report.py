"""Tables in Markdown and a chart in SVG, from the results alone; what was not measured keeps its table."""

from __future__ import annotations

import math
import os
import platform
import re
from html import escape
from pathlib import Path
from typing import Any

from build import HERE
from peers import ECHO, LIBCOAP, PYMODBUS, SCAPY, SNMPD
from schemas import COMPILED, INTERPRETED, OURS
from sections import (
    BARE,
    OURS_COAP,
    OURS_MODBUS,
    OURS_SENSORNET,
    OURS_SNMP,
    PLAIN,
    medians,
    ratio,
)

README = HERE / "README.md"
CHART = HERE / "chart.svg"
BEGIN, END = "<!-- results: written by bench.py -->", "<!-- end of results -->"
MIB = 1 << 20


def machine(versions: dict[str, str]) -> dict[str, Any]:
    model = ""
    with Path("/proc/cpuinfo").open() as lines:
        for line in lines:
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    return {
        "processor": model,
        "cores": len(os.sched_getaffinity(0)),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "peers": {name: version for name, version in versions.items() if version},
    }


def table(head: list[str], rows: list[list[str]]) -> str:
    numbers = ["---"] + ["---:"] * (len(head) - 1)
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, numbers, *rows]) + "\n"


def short(reason: str) -> str:
    """The first line, which says who, and the last, which says why."""
    lines = [line.strip() for line in reason.splitlines() if line.strip()]
    return " … ".join(dict.fromkeys(lines[:1] + lines[-1:]))[:240].replace("|", "/")


def left_out(result: dict[str, Any]) -> list[tuple[str, str]]:
    """Who was not measured, or not in every round, and why."""
    rounds = result["rounds"]
    found = []
    for name, why in result["missing"].items():
        done = sum(name in measured for measured in rounds)
        after = f"after {done} of {len(rounds)} rounds" if done else "left out"
        found.append((name, f"{after}: {short(why)}"))
    return found


def times(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f} x" if value >= 10 else f"{value:.2f} x"


def markdown(results: dict[str, Any], found: dict[str, Any]) -> dict[str, str]:
    """The text of each section that was measured on the machine ``found``, by title."""
    texts = {TITLES[name]: RENDERERS[name](results[name]) for name in TITLES if name in results}
    machine_ = describe_machine(found)
    if len(texts) == len(TITLES):
        return {IN_SHORT: reach(results), **texts, MACHINE: machine_}
    apart = {title: f"{text}\nMeasured apart, on {machine_}" for title, text in texts.items()}
    return {IN_SHORT: reach(results), **apart}


def reach(results: dict[str, Any]) -> str:
    bare = dict(reached(results, BARE))
    rows = [
        [name, figure, bare[name] if bare[name] != figure else ""]
        for name, figure in reached(results)
        if figure
    ]
    return table(["measure", "ratio", "log and capture off"], rows)


def reached(results: dict[str, Any], variant: str = "") -> list[tuple[str, str]]:
    """(measure, ratio); `variant` is what stands behind the names of ours."""
    sensornet = OURS_SENSORNET + variant
    rounds = results.get("rates", {}).get("rounds", [])
    one_core = results.get("latency", {}).get("rounds", [])
    found = [
        (
            "SensorNet READ to REPORT, against the C echo",
            ratio(rounds, sensornet, ECHO.name, "rate"),
        ),
        ("the same, against Scapy over TUN", ratio(rounds, sensornet, SCAPY.name, "rate")),
        *(
            (f"{what}, out of a model, against {name}", ratio(rounds, ours + variant, peer, "rate"))
            for ours, what, name, peer in (
                (OURS_COAP, "CoAP GET to 2.05", "libcoap", LIBCOAP.name),
                (OURS_MODBUS, "Modbus read", "pymodbus", PYMODBUS.name),
                (OURS_SNMP, "SNMP GET", "snmpd", SNMPD.name),
            )
        ),
        (
            "median round trip, one outstanding, one core, against the C echo",
            ratio(one_core, OURS_SENSORNET, ECHO.name, "p50_us"),
        ),
    ]
    if us := results.get("codec", {}).get("us"):
        found += [
            (f"codec, against construct {rival}", us[f"construct, {rival}"] / us["ours"])
            for rival in ("interpreted", "compiled")
        ]
    sizes = medians(results.get("sizes", {}).get("rounds", []))
    if "10" in sizes and "1,000,000" in sizes:
        grown = sizes["1,000,000"]["us"] / sizes["10"]["us"]
        found.append(("cost of a packet, 1,000,000 devices against 10", grown))
    rounds = results.get("queues", {}).get("rounds", [])
    found.append(("two workers against one", ratio(rounds, "two", "one", "rate")))
    return [(name, times(value)) for name, value in found]


def rates(result: dict[str, Any]) -> str:
    rounds = result["rounds"]
    rows = []
    found = medians(rounds)
    for name in sorted(found, key=lambda name: -found[name]["rate"]):
        figures = found[name]
        all_rates = [measured[name]["rate"] for measured in rounds if name in measured]
        rows.append([
            f"**{name}**" if name.startswith("iotsim") else name,
            result["asked"][name],
            f"{figures['rate']:,.0f}",
            f"{min(all_rates):,.0f} to {max(all_rates):,.0f}",
            f"{ratio(rounds, name, ECHO.name, 'rate') or 0:.3f}",
            f"{figures['p50_us'] / 1000:.2f}",
            f"{figures['p99_us'] / 1000:.2f}",
        ])  # fmt: skip
    rows += [[name, result["asked"][name], why, "", "", "", ""] for name, why in left_out(result)]
    head = ["who", "asked", "replies/s", "range", "to the C echo", "p50 ms", "p99 ms"]
    text = table(head, rows)
    ours = found.get(OURS_SENSORNET)
    if ours:
        text += (
            "\nOurs is by an unmodified `iotsim run` with two expectations and, but where they are "
            "off, `events.jsonl` and `capture.pcapng`. What there is to record is kept apart from "
            "the process at once, and written when there is time: all of 200,000 requests "
            f"{ours['flush_s']:.1f} s after the last reply.\n"
        )
    return text


def latency(result: dict[str, Any]) -> str:
    found = medians(result["rounds"])
    rows = [
        [name, f"{figures['p50_us']:.1f}", f"{figures['p99_us']:.1f}"]
        for name, figures in found.items()
    ]
    rows += [[name, why, ""] for name, why in left_out(result)]
    return table(["who", "p50 µs", "p99 µs"], rows)


def codec(result: dict[str, Any]) -> str:
    us = result["us"]
    rows = [[name, f"{value:.2f}", f"{value / us['ours']:.1f}"] for name, value in us.items()]
    return table(["codec", "µs", "to ours"], rows)


def schemas(result: dict[str, Any]) -> str:
    """A row for each schema; who cannot do it has no figures, and a line below that says why."""
    rows, notes = [], []
    for name, example in result["examples"].items():
        us, ratio_ = example["us"], example["ratio"]
        rows.append([
            name,
            *(pair(us.get(who), "{:.2f}") for who in CODECS),
            *(pair(ratio_.get(who), "{:.1f} x") for who in CODECS[1:]),
        ])  # fmt: skip
        notes += [f"{name}: {who} fails: {short(why)}" for who, why in example["without"].items()]
        notes += [f"{name}: left to construct: {at}, {why}" for at, why in example["left"].items()]
    head = ["µs to decode / to encode", *CODECS, "interpreted to ours", "compiled to ours"]
    return table(head, rows) + "\n" + "".join(f"- {note}\n" for note in notes)


def pair(figures: list[float] | None, form: str) -> str:
    return " / ".join(map(form.format, figures)) if figures else "-"


def sizes(result: dict[str, Any]) -> str:
    found = medians(result["rounds"])
    least = found.get("10", {}).get("us", 0)
    rows = [
        [name, f"{figures['us']:.1f}", f"{figures['us'] / least:.2f}" if least else ""]
        for name, figures in found.items()
    ]
    rows += [[name, why, ""] for name, why in left_out(result)]
    return table(["devices, asked in random order", "µs a request", "to 10 devices"], rows)


def scale(result: dict[str, Any]) -> str:
    rows, notes = [], ""
    for name, fleet in result.items():
        if "missing" in fleet:
            notes += f"- {name} left out: {short(fleet['missing'])}\n"
            continue
        rows.append([
            name,
            f"{fleet['start_s']:.2f} s",
            f"{fleet['rest_bytes'] / MIB:,.0f} MiB",
            f"{fleet['asked']:,}: {fleet['peak_bytes'] / MIB:,.0f} MiB",
            f"{fleet['rate']:,.0f}",
        ])  # fmt: skip
    head = ["devices", "until the first request", "memory before traffic"]
    text = table([*head, "when so many have answered", "replies/s meanwhile"], rows)
    return f"{text}\n{notes}" if notes else text


def reports(result: dict[str, Any]) -> str:
    if "missing" in result:
        return f"Left out: {short(result['missing'])}\n"
    rows = [
        ["reports a second, verified", f"{result['rate']:,.0f}"],
        ["share of one core, all processes", f"{result['cpu_share']:.0%}"],
        ["peak memory, all processes", f"{result['peak_bytes'] / MIB:,.0f} MiB"],
    ]
    return table(["measure", "figure"], rows)


def queues(result: dict[str, Any]) -> str:
    rows = [
        [name, f"{figures['rate']:,.0f}"] for name, figures in medians(result["rounds"]).items()
    ]
    rows += [[name, why] for name, why in left_out(result)]
    head = ["workers", "replies/s, 12,000 devices, load generator on the same cores"]
    return table(head, rows)


def disturbed(result: dict[str, Any]) -> str:
    rounds = result["rounds"]
    rows = []
    for name, figures in medians(rounds).items():
        share = ratio(rounds, name, PLAIN, "rate")
        rows.append([name, f"{figures['rate']:,.0f}", "" if share is None else f"{share:.2f}"])
    rows += [[name, why, ""] for name, why in left_out(result)]
    return table(["SensorNet, 1,000 devices, 1,024 outstanding", "replies/s", "of as it is"], rows)


def layers(result: dict[str, Any]) -> str:
    if "missing" in result:
        return f"Left out: {short(result['missing'])}\n"
    total = sum(result["layers"].values())
    rows = [
        [layer, f"{count / total:.0%}", f"{count / total * result['us']:.1f}"]
        for layer, count in sorted(result["layers"].items(), key=lambda item: -item[1])
    ]
    return table(["layer", "share", "µs a request"], rows)


def describe_machine(found: dict[str, Any]) -> str:
    peers = ", ".join(f"{name} {version}" for name, version in found["peers"].items())
    text = f"{found['cores']} cores ({found['processor']}), Linux {found['kernel']}, "
    text += f"Python {found['python']}" + (f"; {peers}" if peers else "")
    return f"{text}.\n"


RENDERERS = {
    "rates": rates,
    "latency": latency,
    "codec": codec,
    "schemas": schemas,
    "sizes": sizes,
    "scale": scale,
    "reports": reports,
    "queues": queues,
    "disturbed": disturbed,
    "layers": layers,
}
TITLES = {
    "rates": "Replies a second, 64 outstanding",
    "latency": "Round trip, one outstanding, all on one core",
    "codec": "Codec alone: decode a READ, encode a REPORT",
    "schemas": "Codec alone: ten schemas",
    "sizes": "Cost of a packet by the size of the fleet",
    "scale": "Large fleets, all processes together",
    "reports": "100,000 devices that report every 60 s",
    "queues": "More cores",
    "disturbed": "Impairments and many expectations",
    "layers": "Where the time of a request goes",
}
IN_SHORT, MACHINE = "In short", "Measured on"
CODECS = (OURS, INTERPRETED, COMPILED)


def joined(texts: dict[str, str]) -> str:
    """The sections as one text, in the order of the page."""
    order = [IN_SHORT, *TITLES.values(), MACHINE]
    return "\n".join(f"### {title}\n\n{texts[title]}" for title in order if title in texts)


def write(texts: dict[str, str], svg: str) -> None:
    """Put the sections between the markers in README.md, in place of older ones, and the chart beside."""
    page = README.read_text()
    before, begin, rest = page.partition(BEGIN)
    text, end, after = rest.partition(END)
    if not end:
        raise ValueError(f"{README} has no markers for the results")
    _, *parts = re.split(r"^### (.+)\n\n", text.rstrip("\n") + "\n", flags=re.MULTILINE)
    old = dict(zip(parts[::2], (part.rstrip("\n") + "\n" for part in parts[1::2]), strict=True))
    merged = {**old, **texts, IN_SHORT: newer_rows(old.get(IN_SHORT, ""), texts[IN_SHORT])}
    README.write_text(f"{before}{begin}\n\n{joined(merged)}\n{end}{after}")
    if svg:
        CHART.write_text(svg)


def newer_rows(old: str, new: str) -> str:
    """A table in which the rows of ``new`` stand in place of those of ``old`` that begin alike."""
    rows = {line.split(" | ")[0]: line for line in [*old.splitlines(), *new.splitlines()] if line}
    return "\n".join(rows.values()) + "\n"


# ---------------------------------------------------------------- the chart

WIDTH, LEFT, RIGHT, ROW, TOP = 860, 250, 150, 30, 46
OURS_COLOR, PEER_COLOR = "#2f7fd6", "#9aa4b1"


def chart(results: dict[str, Any]) -> str:
    """Horizontal bars of replies a second on a logarithmic axis, the fastest first; "" without."""
    rounds = results.get("rates", {}).get("rounds", [])
    found = {name: figures["rate"] for name, figures in medians(rounds).items()}
    if not found:
        return ""
    low, high = 100.0, 10 ** math.ceil(math.log10(max(found.values())))
    span = WIDTH - LEFT - RIGHT
    bottom = TOP + ROW * len(found)

    def x(rate: float) -> float:
        return LEFT + span * max(0.0, math.log(rate / low) / math.log(high / low))

    lines = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {bottom + 30}" '
            'font-family="system-ui, sans-serif" font-size="13">'
        ),
        f'<rect width="{WIDTH}" height="{bottom + 30}" fill="#ffffff"/>',
        (
            '<text x="12" y="24" font-size="15" font-weight="600" fill="#1d232b">'
            "Replies a second, 64 outstanding (logarithmic; ratio to the C echo)</text>"
        ),
    ]
    mark = low
    while mark <= high:
        lines.append(
            f'<line x1="{x(mark):.1f}" x2="{x(mark):.1f}" y1="{TOP - 6}" y2="{bottom}" '
            f'stroke="#e3e7ec"/><text x="{x(mark):.1f}" y="{bottom + 18}" text-anchor="middle" '
            f'fill="#5b6675">{mark:,.0f}</text>'
        )
        mark *= 10
    for row, name in enumerate(sorted(found, key=lambda name: -found[name])):
        y = TOP + row * ROW
        ours = name.startswith("iotsim")
        against = ratio(rounds, name, ECHO.name, "rate")
        label = f"{found[name]:,.0f}" + (f"  ({against:.3f})" if against else "")
        weight = "600" if ours else "400"
        lines.append(
            f'<text x="{LEFT - 10}" y="{y + 17}" text-anchor="end" fill="#1d232b" '
            f'font-weight="{weight}">{escape(name)}</text>'
            f'<rect x="{LEFT}" y="{y + 4}" width="{x(found[name]) - LEFT:.1f}" height="{ROW - 10}" '
            f'rx="3" fill="{OURS_COLOR if ours else PEER_COLOR}"/>'
            f'<text x="{x(found[name]) + 8:.1f}" y="{y + 17}" fill="#1d232b">{label}</text>'
        )
    return "\n".join([*lines, "</svg>"]) + "\n"
