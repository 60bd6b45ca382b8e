"""Compares the simulated host with Linux, packet by packet, and writes docs/linux-host.md.

``python tests/live/linux_host`` prints what both answer, as JSON; with ``--write`` it writes the
page. Each kernel host stands in a network namespace of its own, so this takes root. ``--through
INTERFACE`` asks the simulated host of a run instead, in whose namespace it must be called.
"""

from __future__ import annotations

import json
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rows2
import rows4
import rows6
from answers import describe, describe_frames
from kernel import KernelHost, change
from page import render
from simulated import SimulatedHost
from through import ask_through

if TYPE_CHECKING:
    from answers import Answer
    from crafting import Row

PAGE = Path(__file__).resolve().parents[3] / "docs" / "linux-host.md"
LINKS = {"tun": {**rows4.SECTIONS, **rows6.SECTIONS}, "tap": rows2.SECTIONS}
REASSEMBLY = {"ipv4/ipfrag_time": 1, "ipv6/ip6frag_time": 1}
REASSEMBLY_S = 1.3
LONGEST_S = 6.0
JOINING = " kind 4"
"""Hosts report this by themselves, when they join a group."""
UNASKED = ("IGMP", "MLDv2", "ICMP type 131", "ICMP type 133")


def compare(kind: str) -> list[dict[str, Any]]:
    """What a Linux host and ours, both new, answer to each row for a link of this `kind`."""
    kernel, simulated = KernelHost(kind), SimulatedHost(kind)
    words = describe if kind == "tun" else describe_frames
    both: dict[int, tuple[list[Answer], list[Answer]]] = {}
    rows = [(section, row) for section, rows in LINKS[kind].items() for row in rows]
    for number, (_, row) in enumerate(rows):
        if not row.late:
            sent = list(row.packets)
            linux = words(kernel.ask(sent), sent)
            unasked = [answer for answer in linux if answer.text.startswith(UNASKED)]
            linux = [answer for answer in linux if answer not in unasked]
            both[number] = linux, words(simulated.ask(sent), sent)
    late = {number: row for number, (_, row) in enumerate(rows) if row.late}
    change(REASSEMBLY)
    found: tuple[list[bytes], list[bytes]] = [], []
    for row in late.values():
        found[0].extend(kernel.ask(list(row.packets)))
        found[1].extend(simulated.ask(list(row.packets)))
    found[1].extend(simulated.late())
    deadline = time.monotonic() + LONGEST_S
    time.sleep(REASSEMBLY_S)
    while True:
        found[0].extend(kernel.late())
        for number, row in late.items():
            linux, ours = (
                [
                    answer
                    for answer in words(packets, list(row.packets))
                    if answer.destination == row.late and JOINING not in answer.text
                ]
                for packets in found
            )
            both[number] = linux, ours
        if all(len(linux) >= len(ours) for linux, ours in map(both.__getitem__, late)):
            break
        if time.monotonic() > deadline:
            break  # It will not come any more: a difference.
        time.sleep(0.1)
    return [entry(kind, *rows[number], *both[number]) for number in range(len(rows))]


def entry(
    kind: str, section: str, row: Row, linux: list[Answer], ours: list[Answer]
) -> dict[str, Any]:
    return {
        "link": kind,
        "section": section,
        "name": row.name,
        "clause": row.clause,
        "allowed": row.allowed,
        "linux": [answer.text for answer in linux],
        "iotsim": [answer.text for answer in ours],
        "same": linux == ours,
    }


def compare_all() -> list[dict[str, Any]]:
    """The rows for all links, each link in a namespace of its own."""
    words = ["unshare", "--net", sys.executable, str(Path(__file__).parent)]
    processes = [
        subprocess.Popen([*words, kind], stdout=subprocess.PIPE, text=True) for kind in LINKS
    ]
    found: list[dict[str, Any]] = []
    try:
        for process in processes:
            text, _ = process.communicate(timeout=60)
            if process.returncode:
                sys.exit(process.returncode)
            found += json.loads(text)
    finally:
        for process in processes:
            process.kill()
            process.wait()
    return found


def main(argument: str = "", interface: str = "") -> None:
    if argument in LINKS:
        json.dump(compare(argument), sys.stdout)
        return
    if argument == "--through":
        json.dump(ask_through(interface, LINKS["tun"]), sys.stdout)
        return
    rows = compare_all()
    release = ".".join(platform.release().split(".")[:2])
    page = render(rows, release)
    if argument == "--write":
        PAGE.write_text(page)
    else:
        json.dump({"rows": rows, "page": page}, sys.stdout)


main(*sys.argv[1:])
