"""LoRaWAN's frames (TS001-1.0.4, sections 4 and 6.2): what they show without a key, and what takes one.

Numbers are little-endian. EUIs and addresses are texts here, as people write them: the highest digit first.
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

from iotsim import EncodeError

from .commands import read_commands, write_command
from .crypto import DOWN, MIC_SIZE, UP, cipher_payload, data_mic, encrypt, mic, session_keys

Frame: TypeAlias = dict[str, Any]

MTYPES = (
    "JOIN_REQUEST",
    "JOIN_ACCEPT",
    "UNCONFIRMED_DATA_UP",
    "UNCONFIRMED_DATA_DOWN",
    "CONFIRMED_DATA_UP",
    "CONFIRMED_DATA_DOWN",
    "RFU",
    "PROPRIETARY",
)
JOIN_REQUEST, JOIN_ACCEPT = 0x00, 0x20
"""The MHDR of each: its type, and major version 0."""
DATA = {"UNCONFIRMED_DATA_UP", "UNCONFIRMED_DATA_DOWN", "CONFIRMED_DATA_UP", "CONFIRMED_DATA_DOWN"}
ADR, ADR_ACK_REQ, ACK, PENDING = 0x80, 0x40, 0x20, 0x10
"""Bits of FCtrl. The last is FPending downwards, and ClassB upwards."""
SMALLEST_DATA = 12
JOIN_REQUEST_SIZE, JOIN_ACCEPT_SIZES = 23, (17, 33)
MOST_OPTIONS = 15
"""Bytes of commands in FOpts."""


def read_frame(data: bytes) -> Frame | None:
    """What a PHYPayload shows without a key; None if it is none of LoRaWAN's version 1."""
    if not data or data[0] & 3:
        return None
    mtype = MTYPES[data[0] >> 5]
    if mtype in DATA:
        return _read_data(mtype, data)
    if mtype == "JOIN_REQUEST" and len(data) == JOIN_REQUEST_SIZE:
        return {
            "mtype": mtype,
            "join_eui": data[8:0:-1].hex().upper(),
            "dev_eui": data[16:8:-1].hex().upper(),
            "dev_nonce": int.from_bytes(data[17:19], "little"),
            "mic": data[19:],
        }
    if mtype == "JOIN_ACCEPT" and len(data) in JOIN_ACCEPT_SIZES:
        return {"mtype": mtype, "payload": data[1:]}  # the MIC is encrypted, too
    return {"mtype": mtype, "payload": data[1:]} if mtype == "PROPRIETARY" else None


def _read_data(mtype: str, data: bytes) -> Frame | None:
    end = len(data) - MIC_SIZE
    if end < SMALLEST_DATA - MIC_SIZE:
        return None
    control = data[5]
    at = 8 + (control & 15)
    if at > end:
        return None
    up = mtype.endswith("UP")
    frame: Frame = {
        "mtype": mtype,
        "dev_addr": data[4:0:-1].hex().upper(),
        "adr": bool(control & ADR),
        "ack": bool(control & ACK),
        "fcnt": int.from_bytes(data[6:8], "little"),
        "commands": read_commands(data[8:at], UP if up else DOWN),
    }
    if up:
        frame["adr_ack_req"] = bool(control & ADR_ACK_REQ)
    else:
        frame["pending"] = bool(control & PENDING)
    if at < end:
        frame["port"] = data[at]
        frame["payload"] = data[at + 1 : end]
    frame["mic"] = data[end:]
    return frame


class Keys(NamedTuple):
    """An activation: the session keys, and the address they are for."""

    dev_addr: int
    nwk_skey: bytes
    app_skey: bytes

    def of_port(self, port: int) -> bytes:
        """The key of FRMPayload (table 10)."""
        return self.app_skey if port else self.nwk_skey


def join_request(app_key: bytes, join_eui: int, dev_eui: int, dev_nonce: int) -> bytes:
    """Section 6.2.5."""
    body = bytes([JOIN_REQUEST]) + join_eui.to_bytes(8, "little") + dev_eui.to_bytes(8, "little")
    body += dev_nonce.to_bytes(2, "little")
    return body + mic(app_key, body)


class JoinAccept(NamedTuple):
    """Section 6.2.6."""

    join_nonce: int
    net_id: int
    rx1_dr_offset: int
    rx2_data_rate: int
    rx_delay: int
    frequencies: tuple[float, ...]
    """Of the CFList, in MHz; 0 where there is no channel."""
    keys: Keys


def read_join_accept(data: bytes, app_key: bytes, dev_nonce: int) -> JoinAccept | None:
    """The answer to the request with `dev_nonce`; None if it is not, by its MIC."""
    if len(data) not in JOIN_ACCEPT_SIZES or data[0] != JOIN_ACCEPT:
        return None
    # The server has decrypted it, so that a device need not know how to.
    plain = encrypt(app_key, data[1:])
    end = len(plain) - MIC_SIZE
    if mic(app_key, data[:1] + plain[:end]) != plain[end:]:
        return None
    settings, delay = plain[10], plain[11] & 15
    listed = plain[12:end]
    frequencies: tuple[float, ...] = ()
    if listed and listed[15] == 0:  # CFListType: a list of frequencies
        steps = (int.from_bytes(listed[at : at + 3], "little") for at in range(0, 15, 3))
        frequencies = tuple(step / 10_000 for step in steps)
    nonces = plain[:6] + dev_nonce.to_bytes(2, "little")
    return JoinAccept(
        join_nonce=int.from_bytes(plain[:3], "little"),
        net_id=int.from_bytes(plain[3:6], "little"),
        rx1_dr_offset=settings >> 4 & 7,
        rx2_data_rate=settings & 15,
        rx_delay=delay or 1,
        frequencies=frequencies,
        keys=Keys(int.from_bytes(plain[6:10], "little"), *session_keys(app_key, nonces)),
    )


def data_up(
    keys: Keys,
    fcnt: int,
    *,
    confirmed: bool = False,
    control: int = 0,
    options: bytes = b"",
    port: int | None = None,
    payload: bytes = b"",
) -> bytes:
    """A data frame upwards. `control` are the flags of FCtrl; `payload` is not yet encrypted."""
    head = bytes([0x80 if confirmed else 0x40]) + keys.dev_addr.to_bytes(4, "little")
    head += bytes([control | len(options)]) + (fcnt & 0xFFFF).to_bytes(2, "little") + options
    if port is not None:
        sealed = cipher_payload(keys.of_port(port), UP, keys.dev_addr, fcnt, payload)
        head += bytes([port]) + sealed
    return head + data_mic(keys.nwk_skey, UP, keys.dev_addr, fcnt, head)


class DataDown(NamedTuple):
    """A data frame downwards, verified and decrypted."""

    fcnt: int
    confirmed: bool
    control: int
    options: bytes
    port: int | None
    payload: bytes


def read_data_down(data: bytes, keys: Keys, last: int) -> DataDown | None:
    """The frame if it is for `keys`, by its MIC, and its counter is beyond `last`; else None.

    Of the counter, 16 of 32 bits are on the air (section 4.3.1.5): the others are those that make it the
    next after `last`. So an old frame has the wrong MIC.
    """
    end = len(data) - MIC_SIZE
    if end < SMALLEST_DATA - MIC_SIZE or data[0] not in (0x60, 0xA0):
        return None
    control, at = data[5], 8 + (data[5] & 15)
    if at > end or int.from_bytes(data[1:5], "little") != keys.dev_addr:
        return None
    fcnt = last + 1 + (int.from_bytes(data[6:8], "little") - last - 1 & 0xFFFF)
    if fcnt >> 32 or data_mic(keys.nwk_skey, DOWN, keys.dev_addr, fcnt, data[:end]) != data[end:]:
        return None
    port, payload = None, b""
    if at < end:
        port = data[at]
        payload = cipher_payload(keys.of_port(port), DOWN, keys.dev_addr, fcnt, data[at + 1 : end])
    return DataDown(fcnt, data[0] == 0xA0, control, data[8:at], port, payload)


def encoded_commands(commands: Any) -> list[bytes]:
    """The octets of each of a message's commands, which must be a device's. EncodeError if they are not."""
    if not isinstance(commands, list | tuple):
        raise EncodeError("a list of MAC commands", "commands")
    try:
        return [write_command(one) for one in commands]
    except EncodeError as error:
        raise EncodeError(error.reason, f"commands.{error.path}") from None
