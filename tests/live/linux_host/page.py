"""The page docs/linux-host.md, from the rows."""

from __future__ import annotations

from itertools import groupby
from typing import Any

INTRODUCTION = """\
# Simulated hosts against Linux

<!-- Made by tests/live/linux_host from what both hosts answered; do not edit. -->

A simulated device answers the network as a Linux host does. This page shows it: {count} packets, good,
odd and hostile, were sent to a Linux {release} host in a namespace of its own, over a TUN and a TAP
interface, and to the simulated host. "The host" is who was asked, at 10.77.1.1 and fd77::1:1, with a UDP
echo service on port 5600, in the groups 239.1.2.3 and ff05::fd, and without a limit to the rate of its ICMP
errors; "the peer", at 10.77.0.1 and fd77::1, asked. Each answer was compared in all but what a host may
choose (identifications, time to live, times), its checksums verified and its fragments put together.

`tests/live/test_linux_host.py` sends the packets again in every run of the tests, and fails if an answer
differs that is not listed here, or if this page is out of date. To make the page anew, as root:
`python tests/live/linux_host --write`.

The Linux host is set up as distributions do it: no forwarding, no source routes, loose checks of reverse
paths. `drop_unicast_in_l2_multicast` is on, as RFC 1122, section 3.3.6 asks.

## Differences

Of {count} packets, {differing} are answered differently.
"""
SEVERAL = "; "


def render(rows: list[dict[str, Any]], release: str) -> str:
    differing = [row for row in rows if not row["same"]]
    lines = [INTRODUCTION.format(count=len(rows), release=release, differing=len(differing))]
    lines += ["| packet | Linux | simulated host | why it may differ |", "|---|---|---|---|"]
    for row in differing:
        title = f"{row['section']}: {row['name']}"
        lines.append(
            f"| {title} | {said(row['linux'])} | {said(row['iotsim'])} | {row['allowed']} |"
        )
    for section, group in groupby(rows, key=lambda row: row["section"]):
        lines += ["", f"## {section}", "", "| packet | standard | answer |", "|---|---|---|"]
        for row in group:
            answer = said(row["iotsim"]) if row["same"] else "see [above](#differences)"
            lines.append(f"| {row['name']} | {row['clause']} | {answer} |")
    return "\n".join(lines) + "\n"


def said(answers: list[str]) -> str:
    """`answers` as a cell of a table."""
    return SEVERAL.join(answers).replace("|", "\\|").replace("[", "\\[") if answers else "nothing"
