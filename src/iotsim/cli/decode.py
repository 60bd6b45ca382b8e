"""``iotsim decode``: what bytes mean, in hex, in a capture, or on an interface as they pass."""

from __future__ import annotations

import os
import re
import stat
import sys
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, TypeAlias, TypeVar

import cyclopts

from iotsim.cli.app import EXIT_ERROR
from iotsim.cli.hexadecimal import MOST_HEX, parse_hex

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from iotsim.capture.decoder import Wanted
    from iotsim.capture.reader import Frame
    from iotsim.match import Matcher
    from iotsim.protocol.definition import Protocol
    from iotsim.protocol.device import StandIn

OF_A_PATH = re.compile(r"[./]")
"""Hex has none of these; the path of a capture has."""
HEAD = 4
"""This many bytes tell a capture from hex."""

T = TypeVar("T")
Option: TypeAlias = Annotated[T, cyclopts.Parameter(negative=(), show_default=False)]


class UsageError(Exception):
    """What the user has said cannot be."""


def decode(
    name: str,
    /,
    *data: Annotated[str, cyclopts.Parameter(allow_leading_hyphen=True)],
    interface: Option[str] = "",
    summary: Option[bool] = False,
    json: Option[bool] = False,
    where: Option[str] = "",
    device: Option[tuple[str, ...]] = (),
    port: Option[tuple[int, ...]] = (),
    count: Option[int] = 0,
    answer: Option[bool] = False,
    state: Option[tuple[str, ...]] = (),
) -> int:
    """Decode datagrams, field by field: one in hex, those of a capture, or what passes an interface.

    Parameters
    ----------
    name
        The protocol's name.
    data
        Bytes in hex, with or without spaces; or the path of a capture (pcap, pcapng, also in gzip),
        with a '.' or '/' in it. '-' reads either from standard input.
    interface
        Decode what passes this interface of the machine, as it comes, until Ctrl-C.
    summary
        A line for each datagram, without its fields.
    json
        A line of JSON for each datagram; the counts go to standard error.
    where
        A match, as behind 'when' in a scenario: 'kind = "READ", device = { min = 20 }'.
    device
        Only from and to devices at this address, range or prefix, and to groups. May be given several
        times.
    port
        The devices' port, if it is not the protocol's. May be given several times.
    count
        End after so many datagrams.
    answer
        The hex is what a device sends, if the protocol says other things in this direction.
    state
        NAME=VALUE: what the device remembers, for a protocol that asks for it, such as the key with
        which it encrypts. The value is as in a data file. May be given several times.
    """
    from pathlib import Path

    from iotsim.protocol.registry import load_protocol
    from iotsim.run.project import find_project

    protocol = load_protocol(name, [Path(), *find_project().protocols]).protocol
    with ExitStack() as stack:
        try:
            stand_in = _device(state)
            source = _find_source(data, interface, stack)
            if isinstance(source, str):
                if summary or json or where or device or port or count:
                    raise UsageError("for hex there are --answer and --state only")
                return _decode_hex(protocol, source, answer, stand_in)
            if answer:
                raise UsageError("--answer is for hex: in a capture the ports tell")
            if count < 0 or not all(0 < number < 65536 for number in port):
                raise UsageError("--count is a number of datagrams, and --port from 1 to 65535")
            is_device, wanted = _parse_devices(device), _parse_where(where, protocol)
        except UsageError as error:
            print(f"iotsim: {error}", file=sys.stderr)
            return EXIT_ERROR
        # Imported late: hex needs none of it.
        from iotsim.capture import Decoder
        from iotsim.cli.datagrams import JsonLines, Reading, Text

        decoder = Decoder(protocol, ports=port, is_device=is_device, wanted=wanted, device=stand_in)
        show = JsonLines() if json else Text(protocol, in_short=summary)
        return Reading(decoder, show, most=count, at_once=source.at_once).read(source.frames)


class Source(NamedTuple):
    """Where frames come from (None: there is no more for now), and whether each is to be shown as soon as it
    comes."""

    frames: Iterator[Frame | None]
    at_once: bool


def _find_source(data: Sequence[str], interface: str, stack: ExitStack) -> Source | str:
    """What is to be decoded: frames, or hex. What they need to be open is until `stack` ends."""
    if interface:
        if data:
            raise UsageError("give either bytes or --interface, not both")
        return Source(_listen(interface, stack), at_once=False)
    if not data:
        raise UsageError("give bytes in hex, the path of a capture, or --interface")
    if tuple(data) == ("-",):
        stream = getattr(sys.stdin, "buffer", None)
        if stream is None:  # of somebody who has put another one there
            return sys.stdin.read(MOST_HEX)
        from iotsim.capture import is_capture, read_frames

        head = stream.read(HEAD)
        if is_capture(head):
            return Source(read_frames(stream, head), at_once=True)
        text: bytes = head + stream.read(MOST_HEX - HEAD)
        return text.decode(errors="replace")
    if len(data) == 1 and OF_A_PATH.search(data[0]):
        from pathlib import Path

        from iotsim.capture import read_frames

        try:
            file = stack.enter_context(Path(data[0]).open("rb"))  # noqa: SIM115
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise UsageError(f"{data[0]} cannot be read: {reason}") from None
        is_regular = stat.S_ISREG(os.fstat(file.fileno()).st_mode)
        return Source(read_frames(file), at_once=not is_regular)
    return " ".join(data)


def _listen(interface: str, stack: ExitStack) -> Iterator[Frame | None]:
    """What passes an interface from now on."""
    from iotsim.capture.frames import LINUX_SLL2, cooked
    from iotsim.capture.reader import Frame
    from iotsim.link.listener import Listener

    listener = stack.enter_context(closing(Listener(interface, outputs=[sys.stdout.fileno()])))

    def frames() -> Iterator[Frame | None]:
        number = 0
        while True:
            packet = listener.hear_nowait()
            if packet is None:
                yield None
                if not listener.wait():
                    return
                continue
            number += 1
            header = cooked(packet.ethertype)
            data, length = header + packet.data, len(header) + packet.length
            yield Frame(number, packet.time_ns, LINUX_SLL2, data, length, packet.trusted)

    def tell_losses() -> None:
        if lost := listener.lost():
            print(f"iotsim: {lost} packets came too fast to be heard", file=sys.stderr)

    stack.callback(tell_losses)
    print(f"listening on {interface}, until Ctrl-C", file=sys.stderr, flush=True)
    return frames()


def _decode_hex(protocol: Protocol, text: str, answer: bool, device: StandIn) -> int:
    """Show one datagram."""
    from iotsim.protocol.dissection import dissect, summary_line

    try:
        payload = parse_hex(text)
    except ValueError as error:
        raise UsageError(f"that is not a datagram in hex: {error}") from None
    dissection = dissect(protocol, payload, answer=answer, device=device)
    for line in dissection.lines():
        print(line)
    if dissection.message is None:
        return EXIT_ERROR
    if summary := summary_line(protocol, dissection.message):
        print(f"\n{summary}")
    return 0


def _device(state: Sequence[str]) -> StandIn:
    """A device that remembers `state`."""
    from iotsim.protocol.device import StandIn

    if not state:
        return StandIn()
    from iotsim.scenario.csvdata import parse_cell

    values = {}
    for text in state:
        name, equals, value = text.partition("=")
        if not equals:
            raise UsageError(f"--state {text!r}: must be NAME=VALUE")
        try:
            values[name] = parse_cell(value)
        except ValueError as error:
            raise UsageError(f"--state {name}: {error}") from None
    return StandIn(state=values, data=values)


def _parse_devices(texts: Sequence[str]) -> Callable[[int], bool] | None:
    """Whether an address is one of a device that was named; None if none was."""
    from iotsim.units import parse_addresses

    ranges = []
    for text in texts:
        try:
            addresses = parse_addresses(text)
        except ValueError as error:
            raise UsageError(f"--device {text}: {error}") from None
        ranges.append((addresses.first, addresses.first + (addresses.count or 1)))
    if not ranges:
        return None
    return lambda address: any(first <= address < end for first, end in ranges)


def _parse_where(text: str, protocol: Protocol) -> Wanted | None:
    """Whether a message, in its direction, matches; None if any does."""
    if not text:
        return None
    from iotsim.errors import ScenarioError
    from iotsim.match import compile_match
    from iotsim.scenario.toml import TomlError, read_toml

    table = text if text.lstrip().startswith("{") else f"{{ {text} }}"
    try:
        document = read_toml(f"where = {table}").value
    except TomlError as error:
        raise UsageError(f"--where {text}: {error}") from None
    if document.keys() != {"where"} or not isinstance(document["where"], dict):
        raise UsageError(f"--where {text}: that is no match")
    matchers: list[Matcher | None] = []
    wrong: list[ScenarioError] = []
    for schema in (protocol.schema, protocol.answer_schema):
        try:
            matchers.append(compile_match(document["where"], schema))
        except ScenarioError as error:
            matchers.append(None)
            wrong.append(error)
    if len(wrong) == len(matchers):
        raise UsageError(f"--where {text}: {wrong[0]}")
    device: Any = None  # no expression names one: there is none here

    def wanted(message: dict[str, Any] | None, from_device: bool) -> bool:
        matcher = matchers[from_device]
        if matcher is None:
            return False  # in this direction there is no such field
        if message is None:
            return matcher.undecodable
        return matcher.matches(message, device, 0.0)

    return wanted
