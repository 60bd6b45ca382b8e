"""Documents as the page takes them, made by hand: of runs that passed, failed, were long, were killed, and of
one of which every text is meant to do harm. Their form is that of `iotsim.results.html.data`.
"""

from __future__ import annotations

import random
from typing import Any

ADDRESS = "10.77.0.1:41000"
LAYOUT = [
    ["magic", 0, 16],
    ["version", 16, 4],
    ["kind", 24, 8],
    ["device", 32, 32],
    ["seq", 64, 16],
    ["value", 80, 32],
    ["status.quality", 112, 4],
    ["status.alarm", 116, 1],
    ["crc", 120, 16],
]
WHATS = [
    "received",
    "sent",
    "undecodable",
    "undecodable sent",
    "not sent",
    "impaired later",
    "no rule",
    "device failed",
    "session failed",
    "device rebooted",
    "packet dropped",
]
STATES = ["broken", "failed", "in doubt", "warning", "troubled", "silent", "heard", "spoke"]


class Builder:
    """A document that grows by messages, marks and lines, in the order of time."""

    def __init__(self, *, fleets: dict[str, int], end: float, bins: int = 200) -> None:
        self.strings: dict[str, int] = {}
        self.fleets = fleets
        self.end = end
        self.bins = bins
        self.rows: list[dict[str, Any]] = []
        self.shapes: dict[tuple[str, ...], int] = {}
        self.shape_rows: list[list[list[Any]]] = []
        self.expectations: list[dict[str, Any]] = []
        self.marks: list[dict[str, Any]] = []
        self.lines: list[tuple[float, str]] = []
        self.north: list[tuple[float, dict[str, Any]]] = []
        self.impairments: list[dict[str, Any]] = []
        self.bytes: dict[int, tuple[str, int]] = {}
        self.run: dict[str, Any] = {}
        self.states: dict[str, str] = {}

    def string(self, text: str) -> int:
        return -1 if not text else self.strings.setdefault(text, len(self.strings))

    def message(
        self,
        t: float,
        what: str,
        device: str,
        fields: dict[str, Any] | None = None,
        *,
        reply: int = -1,
        kind: str = "",
        **more: Any,
    ) -> int:
        """Adds a row; its number. `more`: impaired, fate, text, delay, layer, data (hex)."""
        shape = -1
        if fields is not None:
            names = tuple(fields)
            shape = self.shapes.setdefault(names, len(self.shapes))
            if shape == len(self.shape_rows):
                self.shape_rows.append([[] for _ in names])
            for values, value in zip(self.shape_rows[shape], fields.values(), strict=True):
                values.append(value)
            kind = kind or str(fields.get("kind", ""))
        if data := more.pop("data", ""):
            self.bytes[len(self.rows)] = (data, 0 if fields else -1)
        row = {"t": t, "what": what, "device": device, "kind": kind, "reply": reply, "shape": shape}
        self.rows.append({**row, "peer": ADDRESS, "protocol": "sensornet", **more})
        return len(self.rows) - 1

    def exchange(self, t: float, device: str, seq: int, latency: float, **more: Any) -> int:
        """A READ and its REPORT; the row of the first."""
        index = int(device.partition("[")[2][:-1])
        head = {"magic": "SN", "version": 1}
        asked = {**head, "kind": "READ", "device": index, "seq": seq, "crc": 4711}
        row = self.message(t, "received", device, asked, data=_hex(1, index, seq), **more)
        if more.get("fate") != "lost":
            said = {**head, "kind": "REPORT", "device": index, "seq": seq, "value": 20.5}
            said |= {"status": {"quality": "GOOD", "alarm": False}, "crc": 815}
            self.message(
                t + latency,
                "sent",
                device,
                said,
                reply=row,
                data=_hex(2, index, seq) + "41a40000a02f",
            )
        return row

    def expect(self, name: str, state: str = "passed", **more: Any) -> None:
        expectation = {
            "number": len(self.expectations),
            "name": name,
            "kind": "within",
            "severity": "error",
            "state": state,
            "expected": "each of meter receives kind READ within 1 s",
            "actual": "all did, the last meter[1] after 0.4 s",
            "inconclusive": "",
            "nearest": "",
            "error": "",
            "place": "scenarios/lazy.toml:30",
            "t": 1.0,
            "total": 0,
            "devices": [],
            "groups": [],
            "rows": [],
            "output": [],
        }
        self.expectations.append(expectation | more)

    def around(self, device: str, t: float, most: int = 12) -> list[int]:
        rows = [at for at, row in enumerate(self.rows) if row["device"] == device]
        return sorted(sorted(rows, key=lambda at: abs(self.rows[at]["t"] - t))[:most])

    # ------------------------------------------------------------------------------ the document

    def document(self) -> dict[str, Any]:
        self._sort()
        verdict = "failed" if any(e["state"] == "failed" for e in self.expectations) else "passed"
        run = {
            "scenario": "Two meters and a lamp",
            "path": "scenarios/lazy.toml",
            "verdict": verdict,
            "reason": "",
            "seed": 7,
            "repeat": "iotsim run scenarios/lazy.toml --seed 7",
            "parameters": {},
            "started": "2026-03-14T15:09:26.535+00:00",
            "wall_time": 1773500966.535,
            "duration_s": self.end,
            "link": "tun",
            "tolerance": 1.0,
            "speed": 1.0,
            "versions": {"iotsim": "0.1.0"},
            "notes": [],
            "errors": [],
            "files": ["events.jsonl", "capture.pcapng"],
            "ended": True,
            "lines": len(self.rows),
            "unreadable": 0,
        }
        messages = self._messages()
        document = {
            "format": 1,
            "run": run | self.run,
            "expectations": self.expectations,
            "axis": {"end": self.end, "bins": self.bins, "width": self.end / self.bins},
            "latency": self._latency(),
            "rates": self._rates(),
            "impairments": self.impairments,
            "marks": sorted(self.marks, key=lambda mark: mark["t"]),
            "marks_left_out": {},
            "devices": self._devices(),
            "messages": messages,
            "shapes": [
                {
                    "fields": list(names),
                    "columns": [column(values) for values in self.shape_rows[shape]],
                }
                for names, shape in self.shapes.items()
            ],
            "bytes": {
                "row": list(self.bytes),
                "hex": [data for data, _ in self.bytes.values()],
                "from": {"all": "capture"},
                "size": [len(data) // 2 for data, _ in self.bytes.values()],
                "layout": [layout for _, layout in self.bytes.values()],
                "lacking": 0,
                "left_out": "",
            },
            "layouts": [LAYOUT],
            "output": {
                "total": len(self.lines),
                "count": len(self.lines),
                "t": [t for t, _ in self.lines],
                "line": [line for _, line in self.lines],
            },
            "northbound": {
                "total": len(self.north),
                "count": len(self.north),
                "t": [t for t, _ in self.north],
                "id": list(range(len(self.north))),
                "service": ["cloud"] * len(self.north),
                "fields": [fields for _, fields in self.north],
            },
            "gateway": None,
            "counters": {},
            "lag": {},
            "unmatched": [],
        }
        return document | {"strings": list(self.strings)}

    def _sort(self) -> None:
        """Puts rows in the order of time, and with them what names rows."""
        order = sorted(range(len(self.rows)), key=lambda at: self.rows[at]["t"])
        place = {old: new for new, old in enumerate(order)}
        at_shape = [0] * len(self.shape_rows)
        for row in self.rows:
            if row["shape"] >= 0:
                row["value"] = at_shape[row["shape"]]
                at_shape[row["shape"]] += 1
        self.rows = [self.rows[old] for old in order]
        for row in self.rows:
            row["reply"] = place.get(row["reply"], -1)
        for shape, columns in enumerate(self.shape_rows):
            picked = [row["value"] for row in self.rows if row["shape"] == shape]
            self.shape_rows[shape] = [[values[at] for at in picked] for values in columns]
        self.bytes = {place[row]: data for row, data in sorted(self.bytes.items())}
        for expectation in self.expectations:
            for named in [expectation, *expectation["groups"]]:
                named["rows"] = sorted(place[row] for row in named["rows"])

    def _messages(self) -> dict[str, Any]:
        count = len(self.rows)
        micro = [round(row["t"] * 1e6) for row in self.rows]
        steps = [now - before for before, now in zip([0, *micro], micro, strict=False)]

        def texts(name: str) -> Any:
            return column([self.string(row.get(name, "")) for row in self.rows])

        columns = {name: texts(name) for name in ("device", "peer", "protocol", "kind", "layer")}
        columns |= {name: texts(name) for name in ("impaired", "fate", "text")}
        columns |= {
            "t": steps,
            "id": [1] * count,
            "what": column([WHATS.index(row["what"]) for row in self.rows]),
            "reply": column([row["reply"] for row in self.rows]),
            "delay": column([row.get("delay", 0) for row in self.rows]),
            "shape": column([row["shape"] for row in self.rows]),
        }
        return {
            "count": count,
            "total": count,
            "whole": True,
            "left_out": "",
            "spans": [],
            "whole_devices": [],
            "columns": columns,
            "whats": WHATS,
            "inferred": [],
        }

    def _bin(self, t: float) -> int:
        return min(self.bins - 1, int(t / (self.end / self.bins)))

    def _rates(self) -> list[dict[str, Any]]:
        counts: dict[tuple[str, str], list[int]] = {}
        for row in self.rows:
            if row["what"] in ("received", "sent", "undecodable", "not sent"):
                direction = row["what"].replace(" ", "-")
                counts.setdefault((direction, row["kind"]), [0] * self.bins)[
                    self._bin(row["t"])
                ] += 1
        return [
            {"direction": way, "kind": self.string(kind), "total": sum(bins), "over_time": bins}
            for (way, kind), bins in counts.items()
        ]

    def _latency(self) -> list[dict[str, Any]]:
        bins: list[list[float]] = [[] for _ in range(self.bins)]
        asked = [row for row in self.rows if row["what"] == "received"]
        everything = []
        for row in self.rows:
            if row["reply"] >= 0:
                request = self.rows[row["reply"]]
                took = row["t"] - request["t"]
                bins[self._bin(request["t"])].append(took)
                everything.append(took)
        if not everything:
            return []

        def share(values: list[float], part: float) -> float | None:
            values = sorted(values)
            return round(values[int(part * (len(values) - 1))], 6) if values else None

        parts = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "max": 1.0}
        figures = {name: share(everything, part) for name, part in parts.items()}
        counted = {"requests": len(asked), "answered": len(everything)}
        return [
            {
                "asker": "gateway",
                "inferred": "",
                **counted,
                **figures,
                "over_time": {
                    "count": [len(values) for values in bins],
                    **{name: [share(v, part) for v in bins] for name, part in parts.items()},
                },
                "kinds": [{"kind": self.string("READ"), **counted, **figures}],
                "slowest": [],
            }
        ]

    def _devices(self) -> dict[str, Any]:
        names = [f"{fleet}[{at}]" for fleet, count in self.fleets.items() for at in range(count)]
        figures: dict[str, dict[str, Any]] = {
            name: dict.fromkeys(("received", "sent", "undecodable", "not_sent", "impaired"), 0)
            | {"reboots": 0, "unanswered": 0, "last": None, "slowest": None}
            for name in names
        }
        answered = {row["reply"] for row in self.rows}
        for at, row in enumerate(self.rows):
            device = figures[row["device"]]
            if (key := row["what"].replace(" ", "_")) in device:
                device[key] += 1
            device["impaired"] += bool(row.get("impaired"))
            device["unanswered"] += row["what"] == "received" and at not in answered
            device["last"] = row["t"]
            if row["reply"] >= 0:
                took = row["t"] - self.rows[row["reply"]]["t"]
                device["slowest"] = round(max(device["slowest"] or 0, took), 6)
        states = []
        for name in names:
            device = figures[name]
            heard = "spoke" if device["sent"] else "heard" if device["received"] else "silent"
            state = "troubled" if device["undecodable"] or device["not_sent"] else heard
            states.append(STATES.index(self.states.get(name, state)))
        fleets, first = [], 0
        for number, (fleet, count) in enumerate(self.fleets.items(), start=1):
            place = {"per_cell": 1, "first_cell": first, "cells": count}
            addresses = [f"10.77.{number}.1" if count == 1 else f"10.77.{number}.1-{count}"]
            fleets.append(
                {"name": fleet, "count": count, "protocols": ["sensornet"], "addresses": addresses}
                | place
            )
            first += count
        columns = {key: column([figures[name][key] for name in names]) for key in figures[names[0]]}
        columns |= {"state": column(states), "silent": {"all": 0}}
        return {
            "total": len(names),
            "fleets": fleets,
            "states": STATES,
            "columns": columns,
            "counts": {state: states.count(at) for at, state in enumerate(STATES) if at in states},
        }


def column(values: list[Any]) -> Any:
    """`values` as a column: one value if all are the same."""
    if values and all(value == values[0] for value in values):
        return {"all": values[0]}
    return values


def _hex(kind: int, device: int, seq: int) -> str:
    return f"534e10{kind:02x}{device:08x}{seq:04x}"


# ---------------------------------------------------------------------------------------- the runs


def passed() -> dict[str, Any]:
    made = Builder(fleets={"meter": 6, "lamp": 2}, end=8.0)
    rng = random.Random(1)
    _started(made)
    for turn in range(15):
        for place, device in enumerate(
            [*(f"meter[{at}]" for at in range(6)), "lamp[0]", "lamp[1]"]
        ):
            t = 0.6 + turn * 0.48 + place * 0.03
            made.exchange(t, device, turn, rng.uniform(0.004, 0.02))
        made.north.append(
            (
                0.9 + turn * 0.48,
                {"method": "POST", "path": "/readings", "status": 200, "body": "{}"},
            )
        )
    made.expect("every meter is polled", t=0.8)
    made.expect(
        "no device is asked more than twice a second", t=None, actual="at most 2 in any second"
    )
    made.expect("readings reach the cloud", t=1.1, actual="15 of 15 did, the last after 0.3 s")
    return made.document()


def failed() -> dict[str, Any]:
    """A run with a fault, an impairment, steps, two failures and one doubt."""
    made = Builder(fleets={"meter": 40, "lamp": 8}, end=12.0)
    rng = random.Random(2)
    _started(made)
    made.marks += [
        {"t": 2.0, "what": "fault", "text": "the cellar floods: meter[3:6] offline", "until": 5.0},
        {"t": 4.0, "what": "step", "text": "the cloud goes down"},
        {"t": 6.5, "what": "step", "text": "the cloud comes back"},
        {"t": 7.0, "what": "gateway-paused", "text": "paused by a step", "until": 7.6},
        {"t": 3.2, "what": "device-rebooted", "text": "lamp[2]"},
        {"t": 9.0, "what": "lag", "text": "12 ms behind"},
    ]
    lossy = [0] * made.bins
    for turn in range(20):
        for at in range(39):
            t = 0.6 + turn * 0.55 + at * 0.01
            offline = 3 <= at < 6 and 2 <= t < 5
            if offline or 7.0 <= t < 7.6:
                continue
            if rng.random() < 0.05:
                made.exchange(t, f"meter[{at}]", turn, 0, impaired="lossy radio", fate="lost")
                lossy[made._bin(t)] += 1
                continue
            slow = 8 if 4 <= t < 6.5 else 1
            made.exchange(t, f"meter[{at}]", turn, slow * rng.uniform(0.003, 0.03))
        for at in range(8):
            made.exchange(
                0.62 + turn * 0.55 + at * 0.013, f"lamp[{at}]", turn, rng.uniform(0.001, 0.002)
            )
        made.lines.append((1.05 + turn * 0.55, f"poll round {turn}: 47 answers, 0 timeouts"))
        if not 4 <= 1.06 + turn * 0.55 < 6.5:
            fields = {
                "method": "POST",
                "path": "/readings",
                "status": 200,
                "json": {"count": 47, "round": turn},
            }
            made.north.append((1.06 + turn * 0.55, fields))
        else:
            made.lines.append((1.07 + turn * 0.55, "upload failed: connection refused"))
    made.lines.sort()
    made.message(
        3.31,
        "undecodable",
        "lamp[2]",
        kind="",
        text="magic: expected 'SN', found 'XX' (byte 0)",
        data="5858010300000002",
    )
    made.impairments.append(
        {
            "name": "lossy radio",
            "fate": "lost",
            "direction": "received",
            "total": sum(lossy),
            "over_time": lossy,
        }
    )
    made.expect(
        "every meter is polled",
        "failed",
        expected="each of meter (40 devices) receives kind READ within 1 s",
        actual="1 of 40 did not: meter[39]",
        nearest="meter[39]: heard nothing in that time",
        t=1.6,
        total=1,
        devices=["meter[39]"],
        groups=[
            {
                "label": "nearest",
                "devices": ["meter[39]"],
                "text": "heard nothing in that time",
                "shown": "",
                "rows": [],
            }
        ],
    )
    made.expect(
        "lamps are told to identify themselves",
        "failed",
        expected="each of lamp (8 devices) receives kind COMMAND and code IDENTIFY within 3 s",
        actual="8 of 8 did not: lamp[0:8]",
        nearest="lamp[2]: heard 5 messages; nearest: kind was READ instead of COMMAND, code was absent "
        "instead of IDENTIFY (t=2.818 s)",
        t=3.6,
        total=8,
        devices=[f"lamp[{at}]" for at in range(8)],
        groups=[
            {
                "label": "nearest",
                "devices": ["lamp[2]"],
                "text": "heard 5 messages; nearest: kind was READ instead of COMMAND",
                "shown": "lamp[2]",
                "rows": made.around("lamp[2]", 3.4),
            },
            {
                "label": "also",
                "devices": [f"lamp[{at}]" for at in (0, 1, 3, 4, 5, 6, 7)],
                "text": "heard 5 messages; kind was READ instead of COMMAND",
                "shown": "lamp[0]",
                "rows": made.around("lamp[0]", 3.4, 8),
            },
        ],
    )
    made.expect(
        "answers of the cloud are fast",
        "inconclusive",
        expected="p99 of cloud requests at most 50 ms",
        actual="p99 was 61 ms",
        inconclusive="the simulator itself was 12 ms late at 9.000 s",
        t=9.0,
    )
    made.expect("the gateway stays up", t=None, actual="it ran to the end")
    made.expect("readings reach the cloud", t=2.1, actual="47 of 47 did, the last after 0.3 s")
    made.states |= {"meter[39]": "failed"} | {f"lamp[{at}]": "failed" for at in range(8)}
    made.marks += [
        {
            "t": 1.6,
            "what": "expectation",
            "text": "every meter is polled: 1 of 40 did not",
            "bad": True,
            "number": 0,
        },
        {
            "t": 3.6,
            "what": "expectation",
            "text": "lamps are told to identify themselves: 8 of 8 did not",
            "bad": True,
            "number": 1,
        },
    ]
    made.run |= {
        "scenario": "A cellar full of meters",
        "notes": ["12 frames were dropped before they could be read."],
    }
    return made.document()


def large(devices: int = 10_000, exchanges: int = 30_000) -> dict[str, Any]:
    """As much as the page of a long run holds."""
    made = Builder(fleets={"meter": devices}, end=600.0, bins=300)
    rng = random.Random(3)
    _started(made)
    for number in range(exchanges):
        t = 0.6 + number * 599 / exchanges
        made.exchange(
            t, f"meter[{rng.randrange(devices - 100)}]", number % 65536, rng.lognormvariate(-6, 1)
        )
    for number in range(5000):
        made.lines.append((0.7 + number * 0.119, f"poll {number}: ok, 12 answers in 3.1 ms"))
    for at in rng.sample(range(devices), 40):
        made.states[f"meter[{at}]"] = "failed"
    worst = "meter[17]"
    made.expect(
        "every meter is polled once a minute",
        "failed",
        actual=f"40 of {devices} were not: {worst} and others",
        nearest=f"{worst}: heard 3 messages, the last at t=61.2 s",
        t=120.0,
        total=40,
        devices=[worst],
        groups=[
            {
                "label": "nearest",
                "devices": [worst],
                "text": "heard 3 messages",
                "shown": worst,
                "rows": made.around(worst, 120.0),
            }
        ],
    )
    made.run |= {"scenario": "Ten thousand meters", "reason": ""}
    document = made.document()
    document["messages"] |= {
        "total": 1_000_000,
        "whole": False,
        "left_out": "Of 1 000 000 messages the page has 60 000: all around failures, "
        "and an even share of the rest.",
    }
    return document


HOSTILE = [
    "</script><script>window.hacked=1</script>",
    "<img src=x onerror=window.hacked=1>",
    "]]><!--<svg onload=window.hacked=1>",
    "{{ 7 * 7 }}{% raw %}",
    "\u2028\u2029'\"`${window.hacked=1}\\",
    "javascript:window.hacked=1",
    "__proto__",
    "=HYPERLINK(1)",
]


def hostile() -> dict[str, Any]:
    """A run of which every text is meant to do harm."""
    text = " ".join(HOSTILE)
    made = Builder(fleets={text: 2}, end=2.0)
    device = f"{text}[0]"
    fields = {"kind": text, text: text, "__proto__": {"polluted": 1}, "constructor": [text]}
    row = made.message(
        0.5,
        "received",
        device,
        fields,
        data="3c2f7363726970743e",
        text=text,
        impaired=text,
        fate=text,
    )
    made.lines.append((0.6, text))
    made.north.append((0.7, {"method": text, "path": text, "status": text, text: text}))
    made.marks.append({"t": 0.4, "what": text, "text": text, "bad": True})
    made.marks.append({"t": 0.4, "what": "fault", "text": text, "until": 1.0})
    group = {"label": text, "devices": [device], "text": text, "shown": device, "rows": [row]}
    told = dict.fromkeys(("expected", "actual", "inconclusive", "nearest", "error", "place"), text)
    made.expect(text, "error", devices=[device], groups=[group], output=[0], **told)
    made.expect(text, "passed", expected=text, actual=text)
    made.impairments.append(
        {"name": text, "fate": text, "direction": text, "total": 1, "over_time": [1] * made.bins}
    )
    words = dict.fromkeys(
        ("scenario", "path", "verdict", "reason", "repeat", "started", "link"), text
    )
    made.run |= {**words, "notes": [text], "errors": [text], "files": [text]}
    made.run |= {"parameters": {text: text}, "versions": {text: text}}
    return made.document()


def killed() -> dict[str, Any]:
    """A run that left next to nothing."""
    made = Builder(fleets={"meter": 1}, end=0.0, bins=1)
    made.run |= {"verdict": "running", "ended": False}
    made.end = 1.0
    return made.document()


def _started(made: Builder) -> None:
    made.marks += [
        {"t": 0.0, "what": "link-up", "text": "tun0, 10.77.0.1/16"},
        {"t": 0.1, "what": "gateway-started", "text": "./gateway --config gw.toml", "until": None},
        {"t": 0.5, "what": "gateway-ready", "text": "it printed 'ready'"},
    ]
    made.lines.append((0.5, "ready"))
