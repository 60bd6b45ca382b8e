"""A network server of a few lines, and a concentrator with one kind of nodes behind it."""

from __future__ import annotations

from typing import Any

from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.ciphers.algorithms import AES

from iotsim.protocols.semtech.commands import write_command
from iotsim.protocols.semtech.crypto import DOWN, UP, cipher_payload, data_mic, mic, session_keys
from iotsim.protocols.semtech.frame import Keys
from iotsim.testing import Transcript

APP_KEY = bytes.fromhex("00112233445566778899aabbccddeeff")
NODES: dict[str, Any] = {"dev_eui": "70B3D57ED0000001", "app_key": APP_KEY, "start": "1s"}
UPLINK: dict[str, Any] = {"every": "60s", "port": 2, "payload": "=str(state.level)"}
ABP: dict[str, Any] = {"dev_addr": "26011BDA", "nwk_skey": b"N" * 16, "app_skey": b"A" * 16}
KEYS = Keys(0x26011BDA, b"N" * 16, b"A" * 16)
RX2: dict[str, Any] = {"freq": 869.525, "datr": "SF12BW125"}


class Concentrator(Transcript):
    """One whose nodes are called ``meter``."""

    def __init__(
        self,
        *,
        uplink: Any = UPLINK,
        model: Any = None,
        abp: bool = False,
        rules: Any = (),
        seed: int = 1,
        state: Any = None,
        may_fail: bool = False,
        **nodes: Any,
    ):
        table = {**NODES, **nodes}
        if abp:
            table = {**table, "abp": ABP}
            del table["app_key"]
        if uplink is not None:
            table["uplink"] = {**UPLINK, **uplink}
        super().__init__(
            "semtech",
            seed=seed,
            model={"nodes": {"meter": table}, "stat_interval": "1h", **(model or {})},
            state=state or {"level": 7},
            may_fail=may_fail,
            **({"rules": rules} if rules else {}),
            wall_time=1_700_000_000.0,
        )
        self._taken = 0
        self._token = 0

    def take(self, kind: str = "PUSH_DATA") -> list[dict[str, Any]]:
        """Messages of `kind` that it has sent since this was last asked for."""
        found = [dict(one) for one in self.sent[self._taken :] if one["kind"] == kind]
        self._taken = len(self.sent)
        return found

    def packets(self) -> list[dict[str, Any]]:
        """The same, of radio frames."""
        return [one for push in self.take() for one in push.get("rxpk", ())]

    def next_packet(self, patience: float = 200.0) -> dict[str, Any]:
        """The next radio frame that it forwards."""
        until = self.now + patience
        while self.now < until:
            if found := self.packets():
                assert len(found) == 1
                return found[0]
            self.wait(min(0.25, until - self.now))
        raise AssertionError("nothing was forwarded")

    def said(self, kind: str) -> list[dict[str, Any]]:
        """Messages above of `kind`, heard or said."""
        return [
            dict(event.message)
            for event in self.events
            if getattr(event, "layer", "") == "application" and event.message["kind"] == kind
        ]

    def downlink(
        self, data: bytes, after: dict[str, Any], delay: float = 1.0, **fields: Any
    ) -> str:
        """Have `data` sent in RX1 of the packet `after`, or where `fields` say; the error of the TX_ACK."""
        self._token += 1
        txpk = {
            "tmst": (after["tmst"] + round(delay * 1e6)) % (1 << 32),
            "freq": after["freq"],
            "rfch": 0,
            "powe": 14,
            "modu": "LORA",
            "datr": after["datr"],
            "codr": "4/5",
            "ipol": True,
            "size": len(data),
            "data": data,
            **fields,
        }
        (ack,) = self.receive(kind="PULL_RESP", token=self._token, txpk=txpk)
        assert (ack["kind"], ack["token"]) == ("TX_ACK", self._token)
        return str(ack["txpk_ack"]["error"])

    def join(self, **accepted: Any) -> Keys:
        """Let its only node join."""
        request = self.next_packet()
        data, keys = join_accept(request["frame"]["dev_nonce"], **accepted)
        assert self.downlink(data, request, 5.0) == "NONE"
        self.wait(5.5)
        assert self.said("JOIN_ACCEPT")[-1]["dev_addr"] == f"{keys.dev_addr:08X}"
        return keys


def join_accept(
    dev_nonce: int,
    *,
    join_nonce: int = 1,
    dev_addr: int = 0x26011BDA,
    settings: int = 0,
    delay: int = 1,
    frequencies: tuple[float, ...] = (),
    app_key: bytes = APP_KEY,
) -> tuple[bytes, Keys]:
    """TS001-1.0.4, section 6.2.6."""
    body = join_nonce.to_bytes(3, "little") + (0x13).to_bytes(3, "little")
    nonces = body + dev_nonce.to_bytes(2, "little")
    body += dev_addr.to_bytes(4, "little") + bytes((settings, delay))
    if frequencies:
        listed = b"".join(round(one * 10_000).to_bytes(3, "little") for one in frequencies)
        body += listed.ljust(16, b"\0")
    body += mic(app_key, b"\x20" + body)
    cipher = Cipher(AES(app_key), modes.ECB()).decryptor()
    return b"\x20" + cipher.update(body), Keys(dev_addr, *session_keys(app_key, nonces))


def data_down(
    keys: Keys,
    fcnt: int,
    *commands: dict[str, Any],
    port: int | None = None,
    payload: bytes = b"",
    confirmed: bool = False,
    control: int = 0,
) -> bytes:
    """Section 4."""
    options = b"".join(map(write_command, commands))
    frame = bytes([0xA0 if confirmed else 0x60]) + keys.dev_addr.to_bytes(4, "little")
    frame += bytes([control | len(options)]) + (fcnt & 0xFFFF).to_bytes(2, "little") + options
    if port is not None:
        frame += bytes([port])
        frame += cipher_payload(keys.of_port(port), DOWN, keys.dev_addr, fcnt, payload)
    return frame + data_mic(keys.nwk_skey, DOWN, keys.dev_addr, fcnt, frame)


def plain(keys: Keys, packet: dict[str, Any], high: int = 0) -> bytes:
    """The payload of an uplink, whose MIC has to be right."""
    data, frame = packet["data"], packet["frame"]
    fcnt = high << 16 | frame["fcnt"]
    assert data_mic(keys.nwk_skey, UP, keys.dev_addr, fcnt, data[:-4]) == frame["mic"]
    key = keys.of_port(frame["port"])
    return cipher_payload(key, UP, keys.dev_addr, fcnt, frame["payload"])
