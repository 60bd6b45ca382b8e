"""A loaded scenario: frozen records in which everything is resolved, checked and compiled."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, TypeAlias, cast

from iotsim.scenario.placeholders import expand, placeholder_values
from iotsim.wire.address import is_ipv4

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from iotsim.device.spec import FleetSpec
    from iotsim.expect.spec import ExpectSpec
    from iotsim.match.pattern import Pattern
    from iotsim.northbound.spec import NorthboundSpec
    from iotsim.scenario.faults import FaultEntry
    from iotsim.scenario.impairments import ImpairEntry
    from iotsim.scenario.steps import StepSpec
    from iotsim.scenario.toml import Keys

CA_FILE = "northbound-ca.pem"
"""In the results folder: the certificate of the authority that is made for a run with TLS."""
LinkKind: TypeAlias = Literal["tun", "tap", "loopback", "memory"]
Until: TypeAlias = Literal["settled", "quiet", "gateway_exit", "duration"]


@dataclass(frozen=True)
class LinkSpec:
    """The link between gateway and devices.

    `address4` and `address6` are the gateway's side, each as (address, length of the prefix), or
    None where the link does not have that family. `router` and `router6` are what ICMP errors come
    from, and on a TAP the routers that devices send to what is not on the link; 0 for none. `name`
    "" leaves the interface's name open. `queues` 0 is one per processor. `bridge` is the name of one
    that the TAP joins, and `vlan` the identifier of the VLAN that the devices are in, 0 for none.
    """

    kind: LinkKind = "tun"
    name: str = ""
    address4: tuple[int, int] | None = None
    address6: tuple[int, int] | None = None
    router: int = 0
    router6: int = 0
    mtu: int = 1500
    isolate: str = "auto"
    queues: int = 1
    bridge: str = ""
    vlan: int = 0
    hosts: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def broadcasts(self) -> tuple[int, ...]:
        """The link's directed broadcast address (RFC 919), if it has one."""
        if self.address4 is None:
            return ()
        address, length = self.address4
        return (address | ((1 << (32 - length)) - 1),) if length < 31 else ()


@dataclass(frozen=True)
class ReadySpec:
    """When the gateway counts as ready: exactly one of these is set."""

    log: Pattern | None = None
    udp_port: int | None = None
    tcp_port: int | None = None
    delay_s: float | None = None


RestartPolicy: TypeAlias = Literal["never", "on-crash", "always"]


@dataclass(frozen=True)
class RestartSpec:
    """Who starts the gateway again when it has exited by itself: nobody, or a supervisor of its own.

    It does so after `delay_s`, and at most so many `times`; None is without end.
    """

    policy: RestartPolicy = "never"
    delay_s: float = 1.0
    times: int | None = None


@dataclass(frozen=True)
class GatewaySpec:
    """The gateway. `command` is empty where something else starts it.

    Strings of `command` and `env`, and `cwd`, may have placeholders, which `Scenario.expand`
    fills in when the run starts. `cwd` None is a fresh folder of the run. `address` and `port` are
    where devices send to that nobody has spoken to yet; None is the link's address, and nowhere.
    `stop_signal` is a name such as SIGTERM. `user` is a name or a number, "" whoever it is by default;
    `capabilities` a mask, as in `iotsim.capabilities`. `stdin` None is an input that has ended, "open"
    one that never ends and gives nothing, anything else the name of a file. `waits`: it is not started
    with the run, but by a step, at `starts_s` at the earliest. `folders` are those of the
    files that say what is at keys of ``[gateway]`` (`Scenario.gateway_folder`). `place` is where `command`
    stands, as ``file:line``; "" if it is in no file.
    """

    command: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    cwd: str | None = None
    address: int | None = None
    port: int | None = None
    ready: ReadySpec | None = None
    stop_signal: str = "SIGTERM"
    expect_exit: int | None = None
    user: str = ""
    capabilities: int = 0
    terminal: bool = True
    stdin: str | None = None
    restart: RestartSpec = RestartSpec()
    waits: bool = False
    starts_s: float = 0.0
    folders: Mapping[Keys, Path] = field(default_factory=lambda: MappingProxyType({}))
    place: str = ""


@dataclass(frozen=True)
class ResultsSpec:
    """How many bytes of ``events.jsonl`` and ``capture.pcapng`` are kept; None is all."""

    events: int | None = None
    capture: int | None = None


@dataclass(frozen=True)
class Scenario:
    """A scenario. Times are seconds, not yet scaled by `tolerance`.

    `until` says when a run ends before `duration_s`, None as is usual (`ends`); "quiet" is once every
    expectation is decided and nothing was received for `quiet_s`. `seed_given` tells whether the file
    or the caller's overrides named the seed. `requires` are programs that must be on the PATH. `routes`
    are prefixes of devices beyond the link's own, as (address, length). `parameters` are those of the
    matrix and of ``--set``, as ``--set`` takes them: with them, the file is this scenario again. `files`
    are those that it is made of, the one at `path` last.
    """

    path: Path
    name: str
    link: LinkSpec
    fleets: tuple[FleetSpec, ...] = ()
    expectations: tuple[ExpectSpec, ...] = ()
    northbound: Mapping[str, NorthboundSpec] = field(default_factory=lambda: MappingProxyType({}))
    gateway: GatewaySpec | None = None
    results: ResultsSpec = ResultsSpec()
    description: str = ""
    duration_s: float = 60.0
    until: Until | None = None
    quiet_s: float = 2.0
    seed: int = 0
    seed_given: bool = False
    tags: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()
    speed: float = 1.0
    tolerance: float = 1.0
    limit_s: float | None = None
    routes: tuple[tuple[int, int], ...] = ()
    impairments: tuple[ImpairEntry, ...] = ()
    faults: tuple[FaultEntry, ...] = ()
    steps: tuple[StepSpec, ...] = ()
    parameters: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    files: tuple[Path, ...] = ()

    @property
    def pace(self) -> float:
        """How many seconds of the run a real second has; on a memory link time may be virtual anyhow."""
        return 1.0 if self.link.kind == "memory" else self.speed

    @property
    def folder(self) -> Path:
        """The folder of the scenario's file."""
        return self.path.parent

    @property
    def folders(self) -> tuple[Path, ...]:
        """Where what the scenario names may be: the folders of all files that it is made of."""
        return tuple({file.parent: None for file in (self.path, *self.files)})

    def gateway_folder(self, *keys: str | int) -> Path:
        """Where what is relative at `keys` of ``[gateway]`` is looked for: beside the file that says it."""
        folders = {} if self.gateway is None else self.gateway.folders
        return folders.get(keys, self.folder)

    @property
    def ends(self) -> Until:
        """When a run ends before its duration: as ``until`` says, else as is usual.

        Somebody else's gateway is not left in the middle of an exchange; our own is stopped anyhow, and
        on a memory link there is nobody who could be.
        """
        if self.until is not None:
            return self.until
        own_gateway = self.gateway is not None and self.gateway.command
        return "settled" if own_gateway or self.link.kind == "memory" else "quiet"

    @property
    def host_addresses(self) -> dict[str, tuple[str, ...]]:
        """The names of the link's `hosts`, each with its addresses as texts."""
        services = {f"northbound.{spec.name}": spec.reached_at for spec in self.northbound.values()}
        return {
            name: services.get(targets[0], targets) for name, targets in self.link.hosts.items()
        }

    def over(self, kind: str) -> Scenario:
        """The same scenario over a link of `kind` that is there already, with nobody started as the
        gateway."""
        gateway = None if self.gateway is None else replace(self.gateway, command=())
        return replace(
            self, link=replace(self.link, kind=cast("LinkKind", kind), queues=1), gateway=gateway
        )

    def gateway_endpoint(self, version: int) -> tuple[int, int] | None:
        """Where devices send to that nobody has spoken to yet, over IP of `version` (4 or 6).

        None if the scenario names no port, or no address of that version.
        """
        if self.gateway is None or self.gateway.port is None:
            return None
        address = self.gateway.address
        if address is None:
            own = self.link.address4 if version == 4 else self.link.address6
            return None if own is None else (own[0], self.gateway.port)
        return (address, self.gateway.port) if is_ipv4(address) == (version == 4) else None

    def expand(self, text: str, results: Path) -> str:
        """`text` (of the gateway's table) with its placeholders filled in."""
        values = placeholder_values(
            self.link, self.fleets, self.northbound.values(), results / CA_FILE
        )
        return expand(text, {**values, "results": lambda: str(results)})
