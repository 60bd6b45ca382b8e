"""`Modbus`: the session. It answers requests out of the model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from iotsim import DecodeError, Peer, Session

from .message import ACCESS, ERROR, ERRORS, FUNCTIONS, OBJECTS
from .model import LONGEST_OBJECT

if TYPE_CHECKING:
    from collections.abc import Callable

    from .model import Span, UnitMap

MOST_BITS_READ, MOST_BITS_WRITTEN = 2000, 1968
MOST_REGISTERS_READ, MOST_REGISTERS_WRITTEN, MOST_REGISTERS_EXCHANGED = 125, 123, 121
IDENTIFY = FUNCTIONS["ENCAPSULATED_INTERFACE_TRANSPORT"]
LENGTH_AT, UNIT_AT, FUNCTION_AT, HEADER = 4, 6, 7, 8
LONGEST_OBJECTS = 246
"""In an answer, in bytes: what a PDU of 253 has left for them (6.21)."""

Answer = dict[str, Any]
Plan = list[tuple[Any, Any]]
"""Cells, and what is to be written to each."""


class Refused(Exception):  # noqa: N818
    """A request is answered by an exception, which is the argument."""


class Modbus(Session):
    """A server. It keeps nothing but what was written to the cells of the model."""

    __slots__ = ()

    def respond(self, message: dict[str, Any], peer: Peer) -> Answer | None:
        unit = self.model.maps.get(message["unit"])
        if unit is None or peer.group or peer.port == peer.local_port:
            return None
        function = message["function"]
        serve = SERVED.get(function)
        try:
            if serve is None:
                raise Refused("ILLEGAL_FUNCTION")
            answer: Answer = serve(self, unit, message)
            answer["function"] = function
        except Refused as refused:
            if function in ERRORS or (isinstance(function, int) and function & ERROR):
                return None
            failed = f"{function}_ERROR" if function in FUNCTIONS else function | ERROR
            answer = {"function": failed, "exception": refused.args[0]}
        answer["transaction"] = message["transaction"]
        answer["unit"] = message["unit"]
        return answer

    def refuse(self, datagram: bytes, error: DecodeError, peer: Peer) -> Answer | None:
        """Where the header is right, the rest is not as its function has it (7, code 03), if it is there."""
        if len(datagram) < HEADER or error.path == "protocol":
            return None
        if int.from_bytes(datagram[LENGTH_AT:UNIT_AT], "big") != len(datagram) - UNIT_AT:
            return None
        function, number = datagram[FUNCTION_AT], datagram[UNIT_AT]
        unit = self.model.maps.get(number)
        if function & ERROR or unit is None or peer.port == peer.local_port:
            return None
        transaction = int.from_bytes(datagram[:2], "big")
        head = {"transaction": transaction, "unit": number, "function": function | ERROR}
        absent = function == IDENTIFY and unit.identification is None
        return {**head, "exception": "ILLEGAL_FUNCTION" if absent else "ILLEGAL_DATA_VALUE"}

    # -- bits ------------------------------------------------------------------------------------------

    def read_bits(self, unit: UnitMap, message: dict[str, Any]) -> Answer:
        count = message["count"]
        check(1 <= count <= MOST_BITS_READ)
        table, first = unit.bits[message["function"]], message["address"]
        points = [table.get(address) for address in range(first, first + count)]
        if None in points:
            raise Refused("ILLEGAL_DATA_ADDRESS")
        return {"bits": [bool(self.read(point.value)) for point in points if point]}

    def write_coil(self, unit: UnitMap, message: dict[str, Any]) -> Answer:
        address, value = message["address"], message["value"]
        check(value in ("ON", "OFF"))
        self.carry_out(self.plan_bits(unit, address, [value == "ON"]))
        return {"address": address, "value": value}

    def write_coils(self, unit: UnitMap, message: dict[str, Any]) -> Answer:
        address, count, bits = message["address"], message["count"], message["bits"]
        check(1 <= count <= MOST_BITS_WRITTEN and len(bits) == (count + 7) // 8 * 8)
        self.carry_out(self.plan_bits(unit, address, bits[:count]))
        return {"address": address, "count": count}

    def plan_bits(self, unit: UnitMap, first: int, bits: list[bool]) -> Plan:
        coils = [unit.coils.get(address) for address in range(first, first + len(bits))]
        plan = [
            (coil.value, bit)
            for coil, bit in zip(coils, bits, strict=True)
            if coil and coil.is_writable
        ]
        if len(plan) < len(bits):
            raise Refused("ILLEGAL_DATA_ADDRESS")
        return plan

    # -- registers -------------------------------------------------------------------------------------

    def read_registers(self, unit: UnitMap, message: dict[str, Any]) -> Answer:
        count = message["count"]
        check(1 <= count <= MOST_REGISTERS_READ)
        table = unit.registers[message["function"]]
        return {"registers": self.registers(table, message["address"], count)}

    def write_register(self, unit: UnitMap, message: dict[str, Any]) -> Answer:
        address, value = message["address"], message["value"]
        self.carry_out(self.plan_registers(unit, address, [value]))
        return {"address": address, "value": value}

    def write_registers(self, unit: UnitMap, message: dict[str, Any]) -> Answer:
        address, count, registers = message["address"], message["count"], message["registers"]
        check(1 <= count <= MOST_REGISTERS_WRITTEN and message["byte_count"] == 2 * count)
        self.carry_out(self.plan_registers(unit, address, registers))
        return {"address": address, "count": count}

    def mask_register(self, unit: UnitMap, message: dict[str, Any]) -> Answer:
        address, ones, more = message["address"], message["and_mask"], message["or_mask"]
        (present,) = self.registers(unit.holding, address, 1)
        value = (present & ones) | (more & ~ones & 0xFFFF)
        self.carry_out(self.plan_registers(unit, address, [value]))
        return {"address": address, "and_mask": ones, "or_mask": more}

    def exchange_registers(self, unit: UnitMap, message: dict[str, Any]) -> Answer:
        """It writes first, and reads then (6.17)."""
        address, count = message["read_address"], message["read_count"]
        written = message["write_count"]
        check(1 <= count <= MOST_REGISTERS_READ)
        check(1 <= written <= MOST_REGISTERS_EXCHANGED and message["byte_count"] == 2 * written)
        self.registers(unit.holding, address, count)
        self.carry_out(self.plan_registers(unit, message["write_address"], message["registers"]))
        return {"registers": self.registers(unit.holding, address, count)}

    def registers(self, table: dict[int, Span], address: int, count: int) -> list[int]:
        """The present values of registers; of a longer value, this may be a part."""
        end = address + count
        found: list[int] = []
        while address < end:
            span = table.get(address)
            if span is None:
                raise Refused("ILLEGAL_DATA_ADDRESS")
            if span.form.plain:  # mostly they are, and most are asked for a few
                value = self.read(span.cell)
                if value.__class__ is int and 0 <= value <= 0xFFFF:
                    found.append(value)
                    address += 1
                    continue
            found += self.words(span)[address - span.address :]
            address = span.address + span.size
        return found[:count]

    def words(self, span: Span) -> tuple[int, ...]:
        try:
            return span.form.pack(self.read(span.cell))
        except ValueError as error:
            self.log(f"register {span.address} {error}")
            raise Refused("SERVER_DEVICE_FAILURE") from None

    def plan_registers(self, unit: UnitMap, address: int, registers: list[int]) -> Plan:
        """The other registers of a value of which a part is written stay as they are."""
        plan: Plan = []
        done = 0
        while done < len(registers):
            span = unit.holding.get(address + done)
            if span is None or not span.writable:
                raise Refused("ILLEGAL_DATA_ADDRESS")
            at = address + done - span.address
            part = registers[done : done + span.size - at]
            whole = part
            if len(part) < span.size:
                whole = list(self.words(span))
                whole[at : at + len(part)] = part
            try:
                plan.append((span.cell, span.form.unpack(whole)))
            except ValueError:
                raise Refused("SERVER_DEVICE_FAILURE") from None
            done += len(part)
        return plan

    def carry_out(self, plan: Plan) -> None:
        for cell, value in plan:
            self.write(cell, value)

    # -- identification --------------------------------------------------------------------------------

    def identify(self, unit: UnitMap, message: dict[str, Any]) -> Answer:
        if message["mei_type"] != "READ_DEVICE_IDENTIFICATION" or unit.identification is None:
            raise Refused("ILLEGAL_FUNCTION")
        code, wanted = message["read_device_id_code"], message["object_id"]
        check(code in ACCESS)
        cells, asked = unit.identification.objects, OBJECTS.get(wanted, wanted)
        level = 1 + (max(cells) > 2) + (max(cells) >= 0x80)
        answer = {
            "mei_type": message["mei_type"],
            "read_device_id_code": code,
            "conformity_level": 0x80 | level,
        }
        if code == "INDIVIDUAL":
            if asked not in cells:
                raise Refused("ILLEGAL_DATA_ADDRESS")
            return {**answer, "objects": [{"id": asked, "value": self.object_value(cells[asked])}]}
        last = (2, 0x7F, 0xFF)[min(ACCESS[code], level) - 1]
        first = asked if asked in cells and asked <= last else 0
        objects: list[Answer] = []
        left = LONGEST_OBJECTS
        for number, cell in cells.items():
            if not first <= number <= last:
                continue
            value = self.object_value(cell)
            left -= 2 + len(value.encode())
            if left < 0:
                return {
                    **answer,
                    "more_follows": "YES",
                    "next_object_id": number,
                    "objects": objects,
                }
            objects.append({"id": number, "value": value})
        return {**answer, "objects": objects}

    def object_value(self, cell: Any) -> str:
        return str(self.read(cell)).encode()[:LONGEST_OBJECT].decode(errors="ignore")


def check(valid: bool) -> None:
    """Whether the quantities of a request may be."""
    if not valid:
        raise Refused("ILLEGAL_DATA_VALUE")


SERVED: dict[Any, Callable[[Modbus, UnitMap, dict[str, Any]], Answer]] = {
    "READ_COILS": Modbus.read_bits,
    "READ_DISCRETE_INPUTS": Modbus.read_bits,
    "READ_HOLDING_REGISTERS": Modbus.read_registers,
    "READ_INPUT_REGISTERS": Modbus.read_registers,
    "WRITE_SINGLE_COIL": Modbus.write_coil,
    "WRITE_SINGLE_REGISTER": Modbus.write_register,
    "WRITE_MULTIPLE_COILS": Modbus.write_coils,
    "WRITE_MULTIPLE_REGISTERS": Modbus.write_registers,
    "MASK_WRITE_REGISTER": Modbus.mask_register,
    "READ_WRITE_MULTIPLE_REGISTERS": Modbus.exchange_registers,
    "ENCAPSULATED_INTERFACE_TRANSPORT": Modbus.identify,
}
