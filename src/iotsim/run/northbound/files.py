"""What services need on disk, made while the run's process may still do everything."""

from __future__ import annotations

import importlib.util
import os
import shutil
import ssl
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from iotsim.errors import IotsimError
from iotsim.northbound.mosquitto import Certificate
from iotsim.scenario.model import CA_FILE
from iotsim.testbed.programs import MissingProgramError, install_line

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from iotsim.northbound.spec import NorthboundSpec
    from iotsim.run.folder import ResultsFolder
    from iotsim.scenario.model import Scenario
    from iotsim.testbed.users import User

FOLDER = "northbound"
"""In the results: what services print, and what they keep."""
BROKER = "mosquitto"
SUBSTITUTE = "amqtt"
"""A package with a broker in Python, which does less."""
SYSTEM_FOLDERS = ("/usr/sbin", "/usr/local/sbin")
"""Where Debian puts daemons, and ordinary users have no PATH to."""


@dataclass(frozen=True)
class NorthboundFiles:
    """``folder`` of all services. Of those with TLS, ``contexts`` are what a server of ours presents, and
    ``certificates`` the same as files. ``broker`` is the path of the program."""

    folder: Path
    contexts: Mapping[str, ssl.SSLContext]
    certificates: Mapping[str, Certificate]
    broker: str = ""

    @property
    def names(self) -> list[str]:
        """Of what is there in the results besides, once the run is over."""
        return [
            *([CA_FILE] if self.contexts else ()),
            *([f"{FOLDER}/"] if self.folder.is_dir() else ()),
        ]


def prepare_northbound(
    scenario: Scenario, results: ResultsFolder, user: User | None
) -> NorthboundFiles | None:
    """The files of the services of `scenario`; None if it has none, nor names. `user` is who processes
    run as; on a memory link there are none.

    MissingProgramError if there is no broker for one with MQTT; IotsimError if files cannot be written.
    """
    services = tuple(scenario.northbound.values())
    if not (services or scenario.link.hosts):
        return None
    if scenario.link.kind == "memory":
        return NorthboundFiles(results.path, {}, {})
    broker = find_broker() if any(spec.kind == "mqtt" for spec in services) else ""
    folder = results.path / FOLDER
    try:
        folder.mkdir(exist_ok=True)
        for spec in services:
            if spec.kind in ("mqtt", "command"):
                shutil.rmtree(folder / spec.name, ignore_errors=True)
                (folder / spec.name).mkdir()
                _give(folder / spec.name, user)
        contexts, certificates = _make_certificates(services, folder, results.path, user)
    except OSError as error:
        raise IotsimError(f"{folder} cannot be written: {error.strerror}") from error
    return NorthboundFiles(folder, contexts, certificates, broker)


def find_broker() -> str:
    """The path of mosquitto, or `SUBSTITUTE`. MissingProgramError if neither is installed."""
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), *SYSTEM_FOLDERS])
    found = shutil.which(BROKER, path=path)
    if found is not None:
        return found
    if importlib.util.find_spec(SUBSTITUTE) is not None:
        return SUBSTITUTE
    reason = f"{BROKER} is not installed, which a northbound service of the kind mqtt needs"
    fix = f"{install_line([BROKER])}, or the lesser broker: pip install {SUBSTITUTE}"
    raise MissingProgramError(reason, fix)


def _make_certificates(
    services: tuple[NorthboundSpec, ...], folder: Path, results: Path, user: User | None
) -> tuple[dict[str, ssl.SSLContext], dict[str, Certificate]]:
    contexts: dict[str, ssl.SSLContext] = {}
    certificates: dict[str, Certificate] = {}
    if not any(spec.tls for spec in services):
        return contexts, certificates
    # Here, since few scenarios need it, and loading it takes 0.1 s.
    import trustme

    authority = trustme.CA(organization_name="iotsim", organization_unit_name="made for one run")
    (results / CA_FILE).write_bytes(authority.cert_pem.bytes())
    for spec in services:
        if not spec.tls:
            continue
        leaf = authority.issue_cert(*dict.fromkeys((*spec.reached_at, *spec.names, "localhost")))
        contexts[spec.name] = context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        leaf.configure_cert(context)
        context.set_alpn_protocols(["http/1.1"])
        if spec.kind == "mqtt":
            files = Certificate(
                folder / spec.name / "certificate.pem", folder / spec.name / "key.pem"
            )
            files.chain.write_bytes(b"".join(blob.bytes() for blob in leaf.cert_chain_pems))
            files.key.touch(mode=0o600)
            files.key.write_bytes(leaf.private_key_pem.bytes())
            _give(files.key, user)
            certificates[spec.name] = files
    return contexts, certificates


def _give(path: Path, user: User | None) -> None:
    if user is not None:
        with suppress(PermissionError):  # whoever may not is that user already
            os.chown(path, user.uid, user.gid)
