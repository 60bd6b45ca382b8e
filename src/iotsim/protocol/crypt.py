"""`Encrypted`: a construct inside bytes that AES has encrypted.

The ciphers are those of the package ``cryptography``. Nothing else needs it, so it is an extra of iotsim.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

from construct import ConstructError, PaddingError

from iotsim.errors import ProtocolError
from iotsim.protocol.native import AnyConstruct, Around
from iotsim.protocol.parameter import BytesParameter, Parameter

if TYPE_CHECKING:
    from collections.abc import Collection

try:
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers import Cipher, modes
    from cryptography.hazmat.primitives.ciphers.aead import AESCCM
    from cryptography.hazmat.primitives.ciphers.algorithms import AES
except ModuleNotFoundError:
    HAVE_CRYPTOGRAPHY = False
else:
    HAVE_CRYPTOGRAPHY = True

Mode: TypeAlias = Literal["ECB", "CBC", "CTR", "CCM", "GCM"]
Padding: TypeAlias = Literal["pkcs7", "zeros", "none"]
INSTALL = "pip install 'iotsim-tun[crypto]'"
BLOCK = 16
KEY_SIZES = (16, 24, 32)


class _Kind(NamedTuple):
    """What a mode needs beside a key: what its first block is made of, and its sizes, all in bytes."""

    start: Literal["", "iv", "nonce"]
    sizes: Collection[int] = ()
    in_words: str = ""
    tags: Collection[int] = ()
    """The sizes of the tag; none for a mode that does not authenticate."""
    blocks: bool = False
    """Whether what is encrypted must be whole blocks, and so is padded."""


_KINDS: dict[str, _Kind] = {
    "ECB": _Kind("", blocks=True),
    "CBC": _Kind("iv", (BLOCK,), "16 bytes", blocks=True),
    "CTR": _Kind("nonce", (BLOCK,), "16 bytes, the first block of the counter"),
    "CCM": _Kind("nonce", range(7, 14), "7 to 13 bytes", tags=range(4, 17, 2)),
    "GCM": _Kind("nonce", range(8, 129), "8 to 128 bytes, mostly 12", tags=range(4, 17)),
}


class DecryptionError(ConstructError):
    """The bytes were encrypted with another key or nonce, or were changed on the way."""


class Encrypted(Around):
    """A construct in bytes that AES has encrypted, which are all that are left (inside a Prefixed or
    FixedSized, of those).

    ``mode``        "ECB", "CBC", "CTR" (NIST SP 800-38A), "CCM" (SP 800-38C) or "GCM" (SP 800-38D)
    ``key``         16, 24 or 32 bytes
    ``iv``          for CBC: 16 bytes
    ``nonce``       for CTR the first block of the counter, 16 bytes; for CCM 7 to 13, for GCM mostly 12
    ``padding``     for ECB and CBC: "pkcs7"; "zeros", which are taken off again; or "none"
    ``tag``         for CCM and GCM: the size of the tag, which follows the encrypted bytes
    ``associated``  for CCM and GCM: bytes that are authenticated, too, but stand elsewhere

    Key, iv, nonce and associated are bytes, or are found in the message or the device:
    ``key=this_device.state.key``, ``nonce=this.nonce``, or a function of the context.

    On parse, raises DecryptionError for bytes of another key. Without the package ``cryptography``, it
    cannot be made: ProtocolError.
    """

    shapeless = ("key", "start", "associated")

    def __init__(
        self,
        subcon: AnyConstruct,
        *,
        mode: Mode,
        key: Parameter,
        iv: Parameter | None = None,
        nonce: Parameter | None = None,
        padding: Padding = "pkcs7",
        tag: int = 16,
        associated: Parameter = b"",
    ) -> None:
        super().__init__(subcon)
        if not HAVE_CRYPTOGRAPHY:
            raise ProtocolError(f"Encrypted needs the package cryptography: {INSTALL}")
        if mode not in _KINDS:
            raise ValueError(f"the mode of Encrypted is one of {', '.join(_KINDS)}, not {mode!r}")
        kind = _KINDS[mode]
        given = {"iv": iv, "nonce": nonce}
        start = given.pop(kind.start, b"")
        if start is None:
            raise ValueError(f"{mode} needs {'an iv' if kind.start == 'iv' else 'a nonce'}")
        for name, value in given.items():
            if value is not None:
                raise ValueError(f"{mode} has no {name}")
        if kind.tags and tag not in kind.tags:
            sizes = ", ".join(map(str, kind.tags))
            raise ValueError(f"the tag of {mode} has not {tag} bytes, but {sizes}")
        if padding not in ("pkcs7", "zeros", "none"):
            raise ValueError(f'the padding is "pkcs7", "zeros" or "none", not {padding!r}')
        self.mode = mode
        self.kind = kind
        self.padding = padding
        self.tag = tag
        self.key = BytesParameter("an AES key", key, KEY_SIZES, "16, 24 or 32 bytes")
        self.start = BytesParameter(f"the {kind.start} of {mode}", start, kind.sizes, kind.in_words)
        self.associated = BytesParameter("what is associated", associated)

    def _decode(self, data: bytes, context: Any, path: str) -> bytes:
        key, start = self.key.find(context, path), self.start.find(context, path)
        if not self.kind.tags:
            if self.kind.blocks and len(data) % BLOCK:
                raise DecryptionError(f"{len(data)} encrypted bytes are no blocks of 16", path)
            cipher = self._cipher(key, start).decryptor()
            plain = bytes(cipher.update(data) + cipher.finalize())
            return self._unpadded(plain, path) if self.kind.blocks else plain
        if len(data) < self.tag:
            raise DecryptionError(f"{len(data)} bytes are shorter than the tag, {self.tag}", path)
        associated = self.associated.find(context, path)
        try:
            if self.mode == "CCM":
                return AESCCM(key, self.tag).decrypt(start, data, associated)
            cipher = self._cipher(key, start, data[-self.tag :]).decryptor()
            cipher.authenticate_additional_data(associated)
            return bytes(cipher.update(data[: -self.tag]) + cipher.finalize())
        except InvalidTag:
            raise DecryptionError(
                "wrong tag: encrypted with another key or nonce, or changed on the way", path
            ) from None

    def _encode(self, data: bytes, context: Any, path: str) -> bytes:
        key, start = self.key.find(context, path), self.start.find(context, path)
        if not self.kind.tags:
            cipher = self._cipher(key, start).encryptor()
            plain = self._padded(data, path) if self.kind.blocks else data
            return bytes(cipher.update(plain) + cipher.finalize())
        associated = self.associated.find(context, path)
        if self.mode == "CCM":
            return AESCCM(key, self.tag).encrypt(start, data, associated)
        cipher = self._cipher(key, start).encryptor()
        cipher.authenticate_additional_data(associated)
        return bytes(cipher.update(data) + cipher.finalize() + cipher.tag[: self.tag])

    def _cipher(self, key: bytes, start: bytes, tag: bytes | None = None) -> Any:
        """The cipher of every mode but CCM, which the package has elsewhere."""
        if self.mode == "ECB":
            mode: Any = modes.ECB()
        elif self.mode == "CBC":
            mode = modes.CBC(start)
        elif self.mode == "CTR":
            mode = modes.CTR(start)
        else:
            mode = modes.GCM(start, tag, min_tag_length=self.tag)
        return Cipher(AES(key), mode)

    def _padded(self, plain: bytes, path: str) -> bytes:
        missing = -len(plain) % BLOCK
        if self.padding == "pkcs7":  # RFC 5652, section 6.3
            missing = missing or BLOCK
            return plain + bytes([missing]) * missing
        if self.padding == "none" and missing:
            raise PaddingError(f"{len(plain)} bytes are no whole blocks of 16", path)
        return plain + bytes(missing)

    def _unpadded(self, plain: bytes, path: str) -> bytes:
        if self.padding == "none":
            return plain
        if self.padding == "zeros":
            return plain.rstrip(b"\0")
        count = plain[-1] if plain else 0
        if not 0 < count <= BLOCK or plain[-count:] != bytes([count]) * count:
            raise DecryptionError("no padding at its end: encrypted with another key", path)
        return plain[:-count]
