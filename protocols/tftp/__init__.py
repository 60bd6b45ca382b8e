"""TFTP (RFC 1350, with the options of RFC 2347 to 2349): a device that has files, and takes such.

All numbers are big-endian; texts end with a zero byte and are taken as Latin-1, so that any byte decodes.
Files are read (RRQ) and, where the model says so, written (WRQ), in the modes octet and netascii; each
transfer has a port of its own at the device. Options: blksize, timeout and tsize; others are not
acknowledged, as RFC 2347 has it. What comes to a port of another's transfer gets the error UNKNOWN_TID
(RFC 1350, section 4), a repeated acknowledgement no second block, a repeated block its acknowledgement again.

Not there: the mode mail, windowsize (RFC 7440), multicast (RFC 2090), and a device that asks by itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from construct import (
    Default,
    Enum,
    GreedyBytes,
    GreedyRange,
    GreedyString,
    Int16ub,
    NullTerminated,
    Struct,
    Switch,
    this,
)
from pydantic import Field, model_validator

from iotsim import (
    Duration,
    Errors,
    File,
    FlatStruct,
    IotsimError,
    Peer,
    Protocol,
    Session,
    Table,
    Unanswered,
    Value,
)

from .follower import BLOCK, TftpFollower

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Text = NullTerminated(GreedyString("latin-1"))
OPTIONS = GreedyRange(Struct("name" / Text, "value" / Text))
REQUEST = Struct(
    "filename" / Text, "mode" / Default(Text, "octet"), "options" / Default(OPTIONS, [])
)
ERRORS = {
    "UNDEFINED": 0,
    "NOT_FOUND": 1,
    "ACCESS_VIOLATION": 2,
    "DISK_FULL": 3,
    "ILLEGAL_OPERATION": 4,
    "UNKNOWN_TID": 5,
    "FILE_EXISTS": 6,
    "NO_SUCH_USER": 7,
    "OPTION_REFUSED": 8,
}

MESSAGE = FlatStruct(
    "opcode" / Enum(Int16ub, RRQ=1, WRQ=2, DATA=3, ACK=4, ERROR=5, OACK=6),
    Switch(
        this.opcode,
        {
            "RRQ": REQUEST,
            "WRQ": REQUEST,
            "DATA": Struct("block" / Int16ub, "data" / GreedyBytes),
            "ACK": Struct("block" / Int16ub),
            "ERROR": Struct("code" / Enum(Int16ub, **ERRORS), "message" / Default(Text, "")),
            "OACK": Struct("options" / OPTIONS),
        },
    ),
)

MOST_DIGITS = 20
"""Of an option's number; what has more is not acknowledged."""
MOST_BYTES = 64 << 20
"""The largest file that a device takes."""
DALLY = 2
"""So many times the timeout the last acknowledgement is given again if it is asked for (section 6)."""

Message = dict[str, Any]


class Content(Table):
    """One of three: the name of a file beside the scenario, a text, or bytes."""

    file: File | None = None
    text: Value | None = None
    data: Value | None = None

    @model_validator(mode="after")
    def one_of_three(self) -> Content:
        if sum(one is not None for one in (self.file, self.text, self.data)) != 1:
            raise ValueError("needs one of 'file', 'text' and 'data'")
        return self


class Model(Table):
    files: dict[str, Content] = Field({}, description="what can be read, by name")
    writable: bool = Field(False, description="whether files can be written")
    block_size: Annotated[int, Field(ge=8, le=65464)] = Field(
        1428, description="the largest that is agreed to, in bytes"
    )
    timeout: Duration = Field(1.0, description="until a block is repeated")
    retries: Annotated[int, Field(ge=0, le=100)] = Field(5, description="repeats of a block")


class TransferError(Exception):
    """What ends a transfer: the error that is sent."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.answer = {"opcode": "ERROR", "code": code, "message": message}


class Transfer:
    """What was agreed to with a client, which is `peer`."""

    def __init__(self, peer: Peer, model: Model, request: Message) -> None:
        self.peer = peer
        self.request = request
        self.is_heard = False
        """Whether the client has gone on with it."""
        self.name: str = request["filename"]
        self.netascii = request["mode"].lower() == "netascii"
        if not self.netascii and request["mode"].lower() != "octet":
            raise TransferError("ILLEGAL_OPERATION", f"the mode {request['mode']} is not spoken")
        self.size = BLOCK
        self.timeout = model.timeout
        self.tries = model.retries + 1
        self.agreed: list[dict[str, str]] = []
        asked = {option["name"].lower(): option["value"] for option in request["options"]}
        numbers = {
            name: int(text)
            for name, text in asked.items()
            if text.isascii() and text.isdigit() and len(text) <= MOST_DIGITS
        }
        if numbers.get("blksize", 0) >= 8:  # RFC 2348
            self.size = min(numbers["blksize"], model.block_size)
            self.agree("blksize", self.size)
        if 1 <= numbers.get("timeout", 0) <= 255:  # RFC 2349
            self.timeout = float(numbers["timeout"])
            self.agree("timeout", numbers["timeout"])
        self.announced = numbers.get("tsize")

    def agree(self, name: str, value: int) -> None:
        self.agreed.append({"name": name, "value": str(value)})


class Tftp(Session):
    def __init__(self) -> None:
        self.transfers: dict[int, Transfer] = {}
        """By the device's port."""
        self.written: dict[str, bytes] = {}

    def receive(self, message: Message, peer: Peer) -> None:
        transfer = self.transfers.get(peer.local_port)
        if transfer is None:
            self.deliver(message, peer)
        elif transfer.peer.endpoint != peer.endpoint and message["opcode"] != "ERROR":
            self.send(TransferError("UNKNOWN_TID", "another's transfer").answer, peer)
        # Else it has come before: nothing waits for it any more.

    def respond(self, message: Message, peer: Peer) -> Message | None:
        opcode = message["opcode"]
        if opcode == "ERROR":
            return None
        try:
            if opcode == "RRQ":
                self.begin(message, peer, self.send_file)
            elif opcode == "WRQ":
                self.begin(message, peer, self.receive_file)
            else:
                raise TransferError("UNKNOWN_TID", f"{opcode} belongs to no transfer")
        except TransferError as error:
            return error.answer
        return None

    def begin(self, request: Message, peer: Peer, way: Any) -> None:
        for other in self.transfers.values():
            is_same = other.peer.endpoint == peer.endpoint and other.request == request
            if is_same and not other.is_heard:
                return  # it was asked again, since our first block has not arrived yet
        transfer = Transfer(peer, self.model, request)
        if way == self.send_file:
            data = self.content(transfer)
            if transfer.announced is not None:
                transfer.agree("tsize", len(data))
        else:
            if not self.model.writable:
                raise TransferError("ACCESS_VIOLATION", "files can be read only")
            data = b""
            if transfer.announced is not None:
                if transfer.announced > MOST_BYTES:
                    raise TransferError("DISK_FULL", f"more than {MOST_BYTES} bytes")
                transfer.agree("tsize", transfer.announced)
        try:
            port = self.open_port()
        except IotsimError as error:
            raise TransferError("UNDEFINED", str(error)) from None
        transfer.peer = peer.at(port)
        self.transfers[port] = transfer
        self.start(self.carry_out(transfer, way(transfer, data), port))

    async def carry_out(self, transfer: Transfer, way: Any, port: int) -> None:
        try:
            await way
        except TransferError as error:
            self.send(error.answer, transfer.peer)
        except Unanswered:
            self.log(f"{transfer.peer} does not go on with {transfer.name}")
        finally:
            del self.transfers[port]
            self.close_port(port)

    def content(self, transfer: Transfer) -> bytes:
        """The file that is asked for."""
        name = transfer.name
        data = self.written.get(name)
        if data is None:
            content: Content | None = self.model.files.get(name)
            if content is None:
                raise TransferError("NOT_FOUND", f"there is no {name}")
            if content.file is not None:
                data = content.file.data
            else:
                cell = content.text if content.text is not None else content.data
                value = self.read(cell)  # type: ignore[arg-type]
                data = value if isinstance(value, bytes) else str(value).encode()
        return to_netascii(data) if transfer.netascii else data

    async def send_file(self, transfer: Transfer, data: bytes) -> None:
        if transfer.agreed:
            await self.next(transfer, {"opcode": "OACK", "options": transfer.agreed}, "ACK", 0)
        for number in range(len(data) // transfer.size + 1):
            part = data[number * transfer.size : (number + 1) * transfer.size]
            block = (number + 1) & 0xFFFF
            message = {"opcode": "DATA", "block": block, "data": part}
            await self.next(transfer, message, "ACK", block)

    async def receive_file(self, transfer: Transfer, _: bytes) -> None:
        data = bytearray()
        last: Message = {"opcode": "ACK", "block": 0}
        if transfer.agreed:
            last = {"opcode": "OACK", "options": transfer.agreed}
        block = 0
        while True:
            block = (block + 1) & 0xFFFF
            part: bytes = (await self.next(transfer, last, "DATA", block))["data"]
            if len(part) > transfer.size:
                raise TransferError(
                    "ILLEGAL_OPERATION", f"more than {transfer.size} bytes in a block"
                )
            data += part
            if len(data) > MOST_BYTES:
                raise TransferError("DISK_FULL", f"more than {MOST_BYTES} bytes")
            last = {"opcode": "ACK", "block": block}
            if len(part) < transfer.size:
                break
        written = bytes(data)
        self.written[transfer.name] = from_netascii(written) if transfer.netascii else written
        self.log(f"{transfer.name} was written, {len(data)} bytes")
        datagram = self.send(last, transfer.peer)
        again = self.is_next("DATA", block)
        while await self.wait(again, transfer.peer, timeout=DALLY * transfer.timeout) is not None:
            self.resend(datagram, transfer.peer)

    async def next(self, transfer: Transfer, message: Message, opcode: str, block: int) -> Message:
        """Send `message`, and again where it is not heard, until `opcode` of this block comes."""
        before, wanted = self.is_next(opcode, (block - 1) & 0xFFFF), self.is_next(opcode, block)
        repeats = opcode == "DATA" and message["opcode"] == "ACK"

        def until(message: Message) -> bool:
            return wanted(message) or (repeats and before(message)) or message["opcode"] == "ERROR"

        for _ in range(transfer.tries):
            answer = await self.ask(
                message, transfer.peer, until, timeout=transfer.timeout, tries=transfer.tries
            )
            if answer["opcode"] == "ERROR":
                raise Unanswered(answer["message"] or answer["code"])
            if wanted(answer):
                transfer.is_heard = True
                return answer
        raise Unanswered

    @staticmethod
    def is_next(opcode: str, block: int) -> Callable[[Message], bool]:
        return lambda message: (message["opcode"], message.get("block")) == (opcode, block)


def to_netascii(data: bytes) -> bytes:
    """Lines end with CR LF, and a CR that does not is followed by a zero (RFC 764, by RFC 1350)."""
    return data.replace(b"\r", b"\r\0").replace(b"\n", b"\r\n")


def from_netascii(data: bytes) -> bytes:
    return data.replace(b"\r\n", b"\n").replace(b"\r\0", b"\r")


def refuse(name: str, request: Mapping[str, Any]) -> dict[str, Any] | None:
    """What comes to a transfer's own port ends that, too (RFC 1350, section 7)."""
    asked = request["opcode"] in ("RRQ", "WRQ", "DATA", "ACK")
    text = name.replace("_", " ").lower()
    return {"opcode": "ERROR", "code": name, "message": text} if asked else None


PROTOCOL = Protocol(
    name="tftp",
    message=MESSAGE,
    port=69,
    summary="{opcode} {filename}{block}{code} {message}",
    description="TFTP: a device that has files, and takes such",
    session=Tftp,
    errors=Errors(ERRORS, refuse, on_wire=True),
    model=Model,
    follower=TftpFollower,
)

VECTORS = [
    (
        "0001" + b"fw.bin\0octet\0".hex(),
        {"opcode": "RRQ", "filename": "fw.bin", "mode": "octet", "options": []},
    ),
    (
        "0002" + b"fw.bin\0octet\0blksize\x001428\0tsize\x00673312\0".hex(),  # as RFC 2349 shows it
        {
            "opcode": "WRQ",
            "filename": "fw.bin",
            "mode": "octet",
            "options": [
                {"name": "blksize", "value": "1428"},
                {"name": "tsize", "value": "673312"},
            ],
        },
    ),
    ("0003 0001 0a0b0c", {"opcode": "DATA", "block": 1, "data": b"\x0a\x0b\x0c"}),
    ("0003 ffff", {"opcode": "DATA", "block": 65535, "data": b""}),
    ("0004 0000", {"opcode": "ACK", "block": 0}),
    (
        "0005 0001" + b"File not found\0".hex(),
        {"opcode": "ERROR", "code": "NOT_FOUND", "message": "File not found"},
    ),
    (
        "0006" + b"blksize\x001428\0".hex(),
        {"opcode": "OACK", "options": [{"name": "blksize", "value": "1428"}]},
    ),
]
