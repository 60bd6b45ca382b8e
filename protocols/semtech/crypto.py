"""AES-128 as LoRaWAN uses it (TS001-1.0.4, sections 4.3.3, 4.4 and 6.2).

Its ciphers are those of the package ``cryptography``, an extra of iotsim.
"""

from __future__ import annotations

from iotsim import ProtocolError

try:
    from cryptography.hazmat.primitives.ciphers import Cipher, modes
    from cryptography.hazmat.primitives.ciphers.algorithms import AES
    from cryptography.hazmat.primitives.cmac import CMAC
except ModuleNotFoundError:
    raise ProtocolError(
        "semtech needs the package cryptography: pip install 'iotsim-tun[crypto]'"
    ) from None

UP, DOWN = 0, 1
"""The direction of a frame, as it goes into its MIC and its encryption."""
MIC_SIZE = 4


def encrypt(key: bytes, blocks: bytes) -> bytes:
    """AES-128 in ECB, of whole blocks."""
    cipher = Cipher(AES(key), modes.ECB()).encryptor()
    return cipher.update(blocks) + cipher.finalize()


def mic(key: bytes, data: bytes) -> bytes:
    """The first four bytes of the AES-CMAC (RFC 4493)."""
    cmac = CMAC(AES(key))
    cmac.update(data)
    return cmac.finalize()[:MIC_SIZE]


def data_mic(key: bytes, direction: int, dev_addr: int, fcnt: int, frame: bytes) -> bytes:
    """The MIC of a data frame, which is given without it (section 4.4): B0 goes before it."""
    return mic(key, _block(0x49, direction, dev_addr, fcnt, len(frame)) + frame)


def cipher_payload(key: bytes, direction: int, dev_addr: int, fcnt: int, payload: bytes) -> bytes:
    """FRMPayload encrypted, or decrypted (section 4.3.3): its blocks A are those of AES-CTR."""
    if not payload:
        return b""
    start = _block(0x01, direction, dev_addr, fcnt, 1)
    cipher = Cipher(AES(key), modes.CTR(start)).encryptor()
    return cipher.update(payload) + cipher.finalize()


def _block(kind: int, direction: int, dev_addr: int, fcnt: int, last: int) -> bytes:
    """A block A of number `last` (kind 0x01), or B0 for a frame of `last` bytes (0x49)."""
    head = bytes((kind, 0, 0, 0, 0, direction)) + dev_addr.to_bytes(4, "little")
    return head + fcnt.to_bytes(4, "little") + bytes((0, last))


def session_keys(app_key: bytes, nonces: bytes) -> tuple[bytes, bytes]:
    """NwkSKey and AppSKey (section 6.2.6), of JoinNonce, NetID and DevNonce as they are on the air."""
    nwk_skey = encrypt(app_key, b"\x01" + nonces.ljust(15, b"\0"))
    return nwk_skey, encrypt(app_key, b"\x02" + nonces.ljust(15, b"\0"))
