"""Services of the gateway's other side as plain data: filled by the scenario, run by the run."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from iotsim.match import Expression, Matcher
    from iotsim.units import DurationRange

Kind: TypeAlias = Literal["http", "mqtt", "udp", "syslog", "command"]

LARGEST_BODY = 1_000_000
"""Bytes of a request, message or datagram that a service takes, unless the scenario says otherwise."""


@dataclass(frozen=True, slots=True)
class ReplySpec:
    """An answer. Values may be Expressions, in `headers` and `json` at any depth.

    `content` is what ``json`` or ``body`` (or ``payload``) says; `is_json` tells which. `cut`: after so
    many bytes of it the connection is cut; 0 is before the first. `byte_s` are the seconds that each
    byte takes, 0 for as fast as it goes.
    """

    status: Any = 200
    headers: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    content: Any = None
    is_json: bool = False
    cut: int | None = None
    byte_s: float = 0.0


@dataclass(frozen=True, slots=True)
class AnswerRule:
    """A rule: what it is about, which of that it hits, and what it does then.

    Of what matches, `skip` come first and are not hit; of the others each `every`-th is, and of these
    the `first` ones. `drop`: there is no answer, and a connection stays open.
    """

    name: str = ""
    when: Matcher | None = None
    where: Expression | None = None
    reply: ReplySpec = ReplySpec()
    delay: DurationRange | None = None
    drop: bool = False
    skip: int = 0
    every: int = 1
    first: int | None = None
    place: str = ""
    """``file:line`` of its table."""


@dataclass(frozen=True, slots=True)
class NorthboundSpec:
    """A service. It listens at `port` of each of `addresses`; the first is what the gateway is told.

    `largest` bounds what is taken at a time, in bytes. `command` and `env` are those of the kind
    "command", with placeholders that the start of the run fills in; `folders` has for each of its words the
    folder of the file that says it. `names` are host names that lead to it.
    """

    name: str
    kind: Kind
    addresses: tuple[str, ...] = ("127.0.0.1",)
    port: int = 0
    tls: bool = False
    rules: tuple[AnswerRule, ...] = ()
    largest: int = LARGEST_BODY
    command: tuple[str, ...] = ()
    folders: tuple[Path, ...] = ()
    env: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    names: tuple[str, ...] = ()
    place: str = ""
    """``file:line`` of its table."""

    @property
    def reached_at(self) -> tuple[str, ...]:
        """The addresses by which clients reach it: of a wildcard, those of the loopback interface."""
        return tuple(WILDCARDS.get(address, address) for address in self.addresses)

    @property
    def address(self) -> str:
        return self.reached_at[0]

    @property
    def host(self) -> str:
        """`address` as it stands in a URL."""
        return f"[{self.address}]" if ":" in self.address else self.address

    @property
    def url(self) -> str:
        """Where it is, with the scheme that its clients know; "" if that is not known."""
        scheme = SCHEMES.get(self.kind, "")
        return scheme and f"{scheme}{'s' if self.tls else ''}://{self.host}:{self.port}"


WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "::1"}
SCHEMES = {"http": "http", "mqtt": "mqtt", "udp": "udp", "syslog": "syslog"}
