"""What a scenario says of a concentrator and of the nodes behind it: ``[devices.NAME.model]``."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from iotsim import Duration, Payload, Table, Value
from iotsim.protocol.payloads import PayloadError

from .region import DATA_RATES, LARGEST_PAYLOAD, data_rate

if TYPE_CHECKING:
    from collections.abc import Callable

EUI = re.compile(r"(0[xX])?([0-9A-Fa-f]{1,16})\Z")
KEY_SIZE = 16
FASTEST = 5
"""The DR of nodes of which none is said."""
PAYLOAD = Payload()


def eui_of(value: Any, size: int = 8) -> int:
    """The number that hexadecimal digits, bytes or a number stand for. ValueError if they do not."""
    if isinstance(value, bytes) and len(value) == size:
        return int.from_bytes(value, "big")
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 8 * size:
        return value
    found = EUI.match(value) if isinstance(value, str) else None
    if found is None or len(found[2]) > 2 * size:
        raise ValueError(f"must be {2 * size} hexadecimal digits, not {value!r:.50}")
    return int(found[2], 16)


def key_of(value: Any) -> bytes:
    """An AES-128 key: bytes, or their hexadecimal digits. ValueError if it is none."""
    if isinstance(value, str) and re.fullmatch(r"[0-9A-Fa-f]{32}", value):
        return bytes.fromhex(value)
    if not isinstance(value, bytes) or len(value) != KEY_SIZE:
        raise ValueError("a key has 16 bytes: 'hex:' and 32 digits")
    return value


def payload_of(value: Any) -> bytes:
    """The bytes of a payload. ValueError if `value` is none."""
    try:
        return PAYLOAD.encode(value)
    except PayloadError as error:
        raise ValueError(f"must be {error}") from None


def literals(of: Callable[..., object], *arguments: Any) -> AfterValidator:
    """The validator of a value whose literals must be what `of` takes."""

    def check(cell: Any) -> Any:
        if cell.evaluate is None:
            of(cell.literal, *arguments)
        return cell

    return AfterValidator(check)


def _rate(value: Any) -> int:
    found = value if type(value) is int and value < len(DATA_RATES) else data_rate(value)
    if found is None or found < 0:
        raise ValueError(f"EU868 has {', '.join(map(str, DATA_RATES))}, not {value!r:.50}")
    return found


Eui = Annotated[Value, literals(eui_of)]
Address = Annotated[Value, literals(eui_of, 4)]
Key = Annotated[Value, literals(key_of)]
DataRate = Annotated[int, BeforeValidator(_rate)]


class Uplink(Table):
    """What a node sends by itself."""

    every: Duration
    port: Annotated[int, Field(ge=1, le=223)] = 1
    payload: Annotated[Value, literals(payload_of)] = Field(
        description="a text, 'hex:…', or an expression"
    )
    confirmed: bool = False
    data_rate: DataRate | None = Field(None, description="until the network asks for another")

    @model_validator(mode="after")
    def _check(self) -> Uplink:
        if self.every < 1:
            raise ValueError("'every' is at least 1s: a node listens for so long after each frame")
        if self.payload.evaluate is None:
            size = len(PAYLOAD.encode(self.payload.literal))
            most = LARGEST_PAYLOAD[-1 if self.data_rate is None else self.data_rate]
            if size > most:
                raise ValueError(f"a payload of {size} bytes, where there are at most {most}")
        return self


class Abp(Table):
    """A node that is activated by personalization: it does not join."""

    dev_addr: Address = Field(description="of the first; the others count on")
    nwk_skey: Key
    app_skey: Key


class Nodes(Table):
    """Nodes of a kind: LoRaWAN end devices of class A."""

    count: Annotated[int, Field(ge=1, le=10_000)] = 1
    dev_eui: Eui = Field(description="of the first; the others count on, over all devices")
    join_eui: Eui = Field(default="0", validate_default=True)
    app_key: Key | None = None
    abp: Abp | None = Field(None, description="in the place of app_key")
    uplink: Uplink | None = None
    start: Duration = Field(10.0, description="within it, by chance, a node joins or begins")
    adr: bool = Field(
        True, description="whether the network may set data rate, power and repetitions"
    )
    nb_trans: Annotated[int, Field(ge=1, le=15)] = Field(
        1, description="how often a frame is sent that nothing answers"
    )
    rssi: Value | None = Field(None, description="in dBm; by default each has its own, by chance")
    battery: Annotated[int, Field(ge=0, le=255)] = Field(
        255, description="as DevStatusAns has it: 0 external, 255 unknown"
    )

    @property
    def data_rate(self) -> int:
        """The DR to begin with. Section 4.3.1.1: without a join, the slowest until the network says more."""
        if self.uplink is not None and self.uplink.data_rate is not None:
            return self.uplink.data_rate
        return 0 if self.abp is not None and self.adr else FASTEST

    @model_validator(mode="after")
    def _check(self) -> Nodes:
        if (self.app_key is None) == (self.abp is None):
            raise ValueError("either 'app_key', with which nodes join, or 'abp'")
        return self


class Location(Table):
    latitude: Annotated[float, Field(ge=-90, le=90)]
    longitude: Annotated[float, Field(ge=-180, le=180)]
    altitude: int = 0


class Model(Table):
    eui: Eui = Field(
        default="=hex(0xAA555A0000000000 + device.index)",
        validate_default=True,
        description="of the concentrator",
    )
    keep_alive: Duration = Field(10.0, description="between two PULL_DATA")
    stat_interval: Duration = 30.0
    up_port: Annotated[int, Field(ge=1, le=65535)] | None = Field(
        None, description="of the server, for PUSH_DATA; by default, the gateway's"
    )
    down_port: Annotated[int, Field(ge=1, le=65535)] | None = Field(
        None, description="of the server, for PULL_DATA; by default, the gateway's"
    )
    gps: Value = Field(default=True, validate_default=True, description="whether it has GPS time")
    location: Location | None = None
    nodes: dict[str, Nodes] = Field({}, description="the LoRaWAN devices behind it, by name")

    def check_device(self, known: Callable[[Any], Any]) -> None:
        taken: list[tuple[str, Any, Callable[[Any], object]]] = [("eui", self.eui, eui_of)]
        for name, nodes in self.nodes.items():
            place = f"nodes.{name}"
            taken += [
                (f"{place}.dev_eui", nodes.dev_eui, eui_of),
                (f"{place}.join_eui", nodes.join_eui, eui_of),
                (f"{place}.app_key", nodes.app_key, key_of),
            ]
            if nodes.abp is not None:
                taken += [
                    (f"{place}.abp.dev_addr", nodes.abp.dev_addr, partial(eui_of, size=4)),
                    (f"{place}.abp.nwk_skey", nodes.abp.nwk_skey, key_of),
                    (f"{place}.abp.app_skey", nodes.abp.app_skey, key_of),
                ]
        for key, cell, of in taken:
            value = None if cell is None else known(cell)
            try:
                if value is not None:
                    of(value)
            except ValueError as error:
                raise ValueError(f"{key}: {error}") from None

    @model_validator(mode="after")
    def _check(self) -> Model:
        for name in ("keep_alive", "stat_interval"):
            if getattr(self, name) < 0.1:
                raise ValueError(f"'{name}' is at least 100ms")
        return self
