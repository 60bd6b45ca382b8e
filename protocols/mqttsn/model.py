"""What a scenario says of a device, and the timers of section 7.2."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from iotsim import Duration, Table, Value

from .message import LONGEST_CLIENT_ID
from .topics import Predefined, is_filter, is_name

if TYPE_CHECKING:
    from collections.abc import Callable

LONGEST_DURATION = 65_535.0
SHORTEST_TIMER = 0.01


def _name(topic: str) -> str:
    if not is_name(topic):
        raise ValueError(f"{topic[:100]!r} is no topic: it has a name, without wildcards")
    return topic


def _filter(topic: str) -> str:
    if not is_filter(topic):
        raise ValueError(f"{topic[:100]!r} is no topic: '+' stands for a level, '#' for the rest")
    return topic


def _seconds(value: float) -> float:
    if not 1 <= value <= LONGEST_DURATION:
        raise ValueError(f"must be 1s to {LONGEST_DURATION:.0f}s")
    return value


def _positive(value: float) -> float:
    if value < SHORTEST_TIMER:
        raise ValueError("must be 10ms or more")
    return value


def client_id_of(value: Any) -> str:
    """A client id. ValueError if `value` is none."""
    text = str(value)
    if not 1 <= len(text) <= LONGEST_CLIENT_ID:
        raise ValueError(
            f"{text[:60]!r} is no client id: that has 1 to {LONGEST_CLIENT_ID} characters, "
            f"and this {len(text)}"
        )
    return text


def _client(cell: Any) -> Any:
    if cell.evaluate is None:
        client_id_of(cell.literal)
    return cell


Name = Annotated[str, AfterValidator(_name)]
Filter = Annotated[str, AfterValidator(_filter)]
Seconds = Annotated[Duration, AfterValidator(_seconds)]
Positive = Annotated[Duration, AfterValidator(_positive)]
Qos = Literal[0, 1, 2]


class Subscription(Table):
    """A topic, perhaps with wildcards; written without a table, it is the ``topic``."""

    topic: Filter
    qos: Qos = 1

    @model_validator(mode="before")
    @classmethod
    def _plain(cls, given: Any) -> Any:
        return {"topic": given} if isinstance(given, str) else given


class Will(Table):
    topic: Name
    data: Value = Field("", validate_default=True)
    qos: Qos = 0
    retain: bool = False


class Model(Table):
    role: Literal["client", "gateway"] = "client"
    topics: dict[Name, Annotated[int, Field(ge=1, le=65_535)]] = Field(
        {}, description="predefined topic ids, by name"
    )
    retry: Positive = Field(10.0, description="Tretry: until a message is repeated")
    retries: int = Field(5, ge=0, le=100, description="Nretry: how often")
    buffer: int = Field(
        32, ge=1, le=10_000, description="publications that wait; of a gateway, for each client"
    )
    client: Annotated[Value, AfterValidator(_client)] = Field(
        "=device.name", validate_default=True, description="the client id"
    )
    gateway: Literal["gateway", "search"] = Field(
        "gateway", description="that of the scenario, or one that SEARCHGW finds"
    )
    keep_alive: Seconds = Field(60.0, description="within that time it says something")
    clean: bool = Field(True, description="whether the gateway is to forget what was before")
    subscribe: list[Subscription] = Field([], description="topics, after each connect")
    will: Will | None = None
    sleep: Seconds | None = Field(None, description="it sleeps so long, over and over")
    wait: Positive = Field(300.0, description="Twait: after a rejection for congestion")
    gateway_id: int = Field(1, ge=0, le=255, description="of a gateway")
    advertise: Seconds = Field(900.0, description="Tadv: of a gateway, between ADVERTISE")
    clients: int = Field(64, ge=1, le=10_000, description="of a gateway, the most")

    @model_validator(mode="after")
    def _distinct(self) -> Model:
        if len(set(self.topics.values())) < len(self.topics):
            raise ValueError("two of 'topics' have the same id")
        return self

    def check_device(self, known: Callable[[Any], Any]) -> None:
        value = known(self.client) if self.role == "client" else None
        try:
            if value is not None:
                client_id_of(value)
        except ValueError as error:
            raise ValueError(f"client: {error}") from None

    @cached_property
    def predefined(self) -> Predefined:
        return Predefined(self.topics)
