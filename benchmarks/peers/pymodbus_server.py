"""A Modbus/UDP server by pymodbus, with two holding registers: 17 and 42."""

from __future__ import annotations

import sys

from pymodbus.server import StartUdpServer
from pymodbus.simulator import DataType, SimData, SimDevice


def main() -> None:
    registers = SimData(0, values=[17, 42], datatype=DataType.REGISTERS)
    StartUdpServer(SimDevice(1, simdata=[registers]), address=("127.0.0.1", int(sys.argv[1])))


if __name__ == "__main__":
    main()
