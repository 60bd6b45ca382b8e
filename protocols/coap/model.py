"""What a CoAP device offers, and the parameters of its transmissions (RFC 7252, section 4.8)."""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from iotsim import Duration, Table, Value

from .codes import FORMATS
from .links import Link
from .options import MARKER, segments, write_rest

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
    """A resource. One without a value does not exist for GET, until a PUT has made it."""

    value: Value = Field(None, validate_default=True)
    format: Format = Field("text/plain", description="its content format, by name or number")
    formats: dict[Format, Value] = Field({}, description="further representations")
    methods: list[Method] = Field(["GET"], description="that are allowed")
    observe: Duration | None = Field(None, description="how often it is looked at for observers")
    confirmable: bool = Field(False, description="whether all notifications are")
    max_age: int | None = Field(None, ge=0, lt=1 << 32, description="in seconds")
    etag: bool = Field(False, description="whether responses carry one")
    rt: str = Field("", description="resource type, of its link")
    interface: str = Field("", alias="if", description="interface description, of its link")
    title: str = Field("", description="of its link")
    sz: int | None = Field(None, ge=0, description="size, of its link")


def options_of(resource: Resource) -> bytes:
    """Those of an answer with its value, as they are sent."""
    return write_rest({"content_format": resource.format, "max_age": resource.max_age})


class Model(Table):
    resources: dict[Path, Resource] = Field({}, description="by path")
    block_size: Literal[16, 32, 64, 128, 256, 512, 1024] = Field(
        1024, description="the largest that is sent, in bytes"
    )
    body_limit: int = Field(65536, ge=0, le=1 << 24, description="the largest body that is taken")
    leisure: Duration = Field(5.0, description="until a request to a group is answered, at most")
    ack_timeout: Duration = Field(2.0, description="until a message is repeated first")
    ack_random_factor: float = Field(
        1.5, ge=1, le=100, description="that is at most so much longer"
    )
    max_retransmit: int = Field(4, ge=0, le=20, description="repetitions")
    nstart: int = Field(1, ge=1, le=1000, description="messages on their way to one endpoint")
    ack_delay: Duration = Field(
        0.1, description="so long a response may take and be in the acknowledgment"
    )
    observers: int = Field(16, ge=0, le=1000, description="the most")

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
    def plain(self) -> dict[str, tuple[Any, Format, bytes]]:
        """Of the resources that GET finds, and whose answers carry no ETag: the value, its format, and what
        those answers have between token and payload; by path."""
        return {
            path: (resource.value, resource.format, options_of(resource) + MARKER)
            for path, resource in self.resources.items()
            if "GET" in resource.methods and not resource.etag
        }

    @cached_property
    def links(self) -> dict[str, Link]:
        """What ``/.well-known/core`` says of each resource, by path."""
        return {path: Link(path, resource) for path, resource in self.resources.items()}
