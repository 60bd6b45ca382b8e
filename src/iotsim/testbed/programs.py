"""Programs that a run needs on PATH, and the Debian packages that have them."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from iotsim.errors import MachineError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

DEBIAN_PACKAGES = {
    "arping": "arping",
    "curl": "curl",
    "coap-client-notls": "libcoap3-bin",
    "dnsmasq": "dnsmasq-base",
    "faketime": "faketime",
    "ip": "iproute2",
    "mosquitto": "mosquitto",
    "mosquitto_pub": "mosquitto-clients",
    "ndisc6": "ndisc6",
    "nmap": "nmap",
    "ntpdig": "ntpsec-ntpdig",
    "ping": "iputils-ping",
    "ps": "procps",
    "snmpbulkwalk": "snmp",
    "snmpget": "snmp",
    "snmpset": "snmp",
    "snmptrapd": "snmptrapd",
    "socat": "socat",
    "sysctl": "procps",
    "tcpdump": "tcpdump",
    "tracepath": "iputils-tracepath",
    "traceroute": "traceroute",
    "tshark": "tshark",
}


class MissingProgramError(MachineError):
    """A program is not installed."""

    of_link = False


def require_programs(names: Iterable[str]) -> None:
    """MachineError, with the line that installs them, if programs of `names` are not on PATH."""
    missing = missing_programs(names)
    if missing:
        reason = f"not on the PATH: {', '.join(missing)}, which the scenario requires"
        raise MachineError(reason, install_line(missing))


def missing_programs(names: Iterable[str]) -> list[str]:
    return [name for name in names if shutil.which(name) is None]


def install_line(programs: Iterable[str], packages: Mapping[str, str] = DEBIAN_PACKAGES) -> str:
    """What installs `programs`: a command on Debian, as far as it is known which package has them."""
    known = dict.fromkeys(packages[name] for name in programs if name in packages)
    unknown = [name for name in programs if name not in packages]
    lines = [f"sudo apt install {' '.join(known)}"] if known else []
    lines += [f"put {' and '.join(unknown)} on the PATH"] if unknown else []
    return "; ".join(lines)
