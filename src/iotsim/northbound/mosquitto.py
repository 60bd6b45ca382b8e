"""The configuration of mosquitto, the broker of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


class Certificate(NamedTuple):
    """The files of a certificate chain and its key."""

    chain: Path
    key: Path


def mosquitto_conf(
    folder: Path,
    addresses: Sequence[str],
    port: int,
    watch_port: int,
    *,
    largest: int,
    certificate: Certificate | None,
) -> str:
    """The text of a mosquitto.conf: listeners at `port` of each of `addresses` for the gateway, and one at
    `watch_port` for who watches.

    What it has accepted it keeps, over a restart too (in `folder`), and holds back nothing: what is lost
    would be the gateway's fault in a verdict.
    """
    lines = [
        "allow_anonymous true",
        "user root",  # it stays who it is
        "persistence true",
        f"persistence_location {folder}/",
        "autosave_interval 0",
        "queue_qos0_messages true",
        "max_queued_messages 0",
        "max_inflight_messages 0",
        f"max_packet_size {largest}",
        "set_tcp_nodelay true",
        "log_dest stderr",
        "log_type error",
        "log_type warning",
        "log_type notice",
        f"listener {watch_port} 127.0.0.1",
    ]
    for address in addresses:
        lines.append(f"listener {port} {address}")
        if certificate is not None:
            lines += [f"certfile {certificate.chain}", f"keyfile {certificate.key}"]
    return "\n".join(lines) + "\n"
