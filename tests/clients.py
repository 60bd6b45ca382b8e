"""Independent clients of the bundled protocols, from the package registries, for tests over TUN.

They are none of iotsim's dependencies, and each has some of its own, so each stands in a folder by itself
below build/clients. ``python -m tests.needs`` installs what is not there.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "build" / "clients"


@dataclass(frozen=True)
class Client:
    """A package of a registry, "pypi" or "npm", in one version."""

    name: str
    version: str
    registry: str

    @property
    def folder(self) -> Path:
        return FOLDER / f"{self.name}-{self.version}"

    @property
    def path(self) -> Path:
        """What PYTHONPATH, or NODE_PATH, is to name."""
        return self.folder if self.registry == "pypi" else self.folder / "node_modules"

    @property
    def is_installed(self) -> bool:
        return self._stamp.exists()

    @property
    def _stamp(self) -> Path:
        return self.folder / "installed"

    def install(self) -> bool:
        """Whether that could be done."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if self.registry == "pypi":
            words = [sys.executable, "-m", "pip", "install", "--quiet", "--upgrade", "--target"]
            words += [str(self.folder), f"{self.name}=={self.version}"]
        else:
            words = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix"]
            words += [str(self.folder), f"{self.name}@{self.version}"]
        try:
            done = subprocess.run(words, stdin=subprocess.DEVNULL, check=False)
        except FileNotFoundError:
            return False  # there is no npm
        if done.returncode == 0:
            self._stamp.touch()
        return done.returncode == 0


CLIENTS = {
    client.name: client
    for client in (
        Client("aiocoap", "0.4.17", "pypi"),
        Client("bacpypes3", "0.0.110", "pypi"),
        Client("bacstack", "0.0.1-beta.14", "npm"),
        Client("lifx-async", "7.13.1", "pypi"),
        Client("lifxlan", "1.2.9", "pypi"),
        Client("lora-packet", "0.9.3", "npm"),
        Client("lwm2m-node-lib", "1.4.0", "npm"),
        Client("mqtt-sn-12", "1.0.9", "pypi"),
        Client("mqttsngw-core", "1.2.0", "npm"),
        Client("mqttsngw-mqttbroker", "1.1.4", "npm"),
        Client("pamoja-gateway", "0.2.0", "pypi"),
        Client("pymodbus", "3.16.1", "pypi"),
        Client("pysnmp", "7.1.30", "pypi"),
        Client("python-miio", "0.5.12", "pypi"),
        Client("pywizlight", "0.6.6", "pypi"),
        Client("smpclient", "7.3.0", "pypi"),
        Client("taplo", "0.9.3", "pypi"),
        Client("tplink-smarthome-api", "5.0.0", "npm"),
        Client("xknx", "4.0.0", "pypi"),
    )
}
