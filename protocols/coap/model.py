"""What a CoAP device offers, and the parameters of its transmissions (RFC 7252, section 4.8)."""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from iotsim import Duration, Table, Value

from .links import Link
from .message import FORMATS, segments

MAX_LATENCY = 100.0
"""In seconds: the longest that a datagram may be on its way (section 4.8.2)."""


def _known_format(value: str | int) -> str | int:
    if isinstance(value, str):
        if value not in FORMATS:
            raise ValueError(f"no content format is known by the name {value!r}; give its number")
    elif not 0 <= value < 1 << 16:
        raise ValueError("the number of a content format is 0 to 65535")
    return value


def _path(value: str) -> str:
    if not value.startswith("/") or any(len(one.encode()) > 255 for one in segments(value)):
        raise ValueError("a path begins with a slash, and has at most 255 bytes between two")
    return value


Format = Annotated[str | int, AfterValidator(_known_format)]
Path = Annotated[str, AfterValidator(_path)]
Method = Literal["GET", "POST", "PUT", "DELETE", "FETCH", "PATCH", "IPATCH"]


class Resource(Table):
    """A resource. One without a value does not exist until a PUT has made it, or for GET never."""

    value: Value = Field(None, validate_default=True)
    format: Format = "text/plain"
    formats: dict[Format, Value] = {}
    """Further representations."""
    methods: list[Method] = ["GET"]
    observe: Duration | None = None
    """How often it is looked at for those who observe it."""
    confirmable: bool = False
    """Whether all notifications are."""
    max_age: int | None = Field(None, ge=0, lt=1 << 32)
    """In seconds; 60 where it is not said."""
    etag: bool = False
    """Whether responses carry one. If-Match is understood without."""
    rt: str = ""
    interface: str = Field("", alias="if")
    title: str = ""
    sz: int | None = Field(None, ge=0)


class Model(Table):
    resources: dict[Path, Resource] = {}
    block_size: Literal[16, 32, 64, 128, 256, 512, 1024] = 1024
    body_limit: int = Field(65536, ge=0, le=1 << 24)
    """The largest body that is taken, in bytes."""
    leisure: Duration = 5.0
    ack_timeout: Duration = 2.0
    ack_random_factor: float = Field(1.5, ge=1, le=100)
    max_retransmit: int = Field(4, ge=0, le=20)
    nstart: int = Field(1, ge=1, le=1000)
    ack_delay: Duration = 0.1
    """So long an answer may take and still be part of the acknowledgment."""
    observers: int = Field(16, ge=0, le=1000)

    @cached_property
    def transmit_span(self) -> float:
        """In seconds, from the first to the last transmission of a confirmable message."""
        return self.ack_timeout * ((1 << self.max_retransmit) - 1) * self.ack_random_factor

    @cached_property
    def exchange_lifetime(self) -> float:
        """In seconds, after which the id of a confirmable message may be used again."""
        return self.transmit_span + 2 * MAX_LATENCY + self.ack_timeout

    @cached_property
    def non_lifetime(self) -> float:
        """The same for other messages."""
        return self.transmit_span + MAX_LATENCY

    @cached_property
    def links(self) -> dict[str, Link]:
        """What ``/.well-known/core`` says of each resource, by path."""
        return {path: Link(path, resource) for path, resource in self.resources.items()}
