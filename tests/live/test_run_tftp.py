"""TFTP with tftp-hpa, over TUN: files are read and written, and what is wrong is refused."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.conftest import CommandLine, Done

peer = pytest.mark.peer

SCENARIO = """
[scenario]
duration = "30s"

[gateway]
command = ["bash", "gateway.sh"]

[devices.d]
count = 2
address = ["10.77.1.1", "fd77::1:1"]
protocol = "tftp"

[devices.d.model]
writable = true
files = { "fw.bin" = { file = "fw.bin" }, "read.me" = { text = "='I am ' + device.name" } }

[[expect]]
gateway = { stdout = "done" }
within = "25s"
"""
FLAWED = '_ws.malformed or _ws.expert.group == "Checksum" or _ws.expert.group == "Malformed"'
GATEWAY = """
cd "$(mktemp -d)"
trap 'rm -r "$PWD"' EXIT
head -c 100000 /dev/urandom > up.bin
for device in 10.77.1.1 fd77::1:1; do
    tftp -m binary $device -c get fw.bin && sha256sum < fw.bin
    tftp -m binary $device -c put up.bin
    tftp -m binary $device -c get up.bin back.bin && cmp up.bin back.bin && echo same
    tftp -m netascii $device -c get read.me && cat read.me && echo
    tftp $device -c get none
done
echo done
"""


def job(iotsim: CommandLine) -> Done:
    (iotsim.folder / "fw.bin").write_bytes(bytes(range(256)) * 100)
    iotsim.write("gateway.sh", GATEWAY)
    return iotsim.run(iotsim.write("tftp.toml", SCENARIO))


@peer("tftp", "tftp-hpa", "reads and writes, binary and netascii, IPv4 and IPv6")
@peer("tftp", "tshark", "reads what was sent to tftp-hpa")
@pytest.mark.needs("tun", "tftp", "tshark")
@pytest.mark.background(job=job)
def test_tftp_hpa_reads_and_writes(done: Done) -> None:
    assert done.status == 0, done.text
    log = done.log
    digest = subprocess.run(
        ["sha256sum"], input=bytes(range(256)) * 100, capture_output=True, check=True
    )
    assert log.count(digest.stdout.decode().split()[0]) == 2
    assert log.count("same") == 2
    assert log.count("I am d[0]") == 2
    assert log.count("there is no none") == 2
    seen = subprocess.run(
        ["tshark", "-r", done.out / "capture.pcapng", "-Y", FLAWED],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert seen.stdout == ""
