"""The machines of a bay PC that are no hoppers: a PLC on Modbus, and a tray machine behind a relay board.

A process of its own beside the simulated range, so that nothing that is done to the daemon touches them. Each
line at the socket is answered by whether the PLC's motor runs and whether the relay's contact is closed.
"""

import asyncio
import json
import sys
from pathlib import Path

from hardware.sim.plc import ModbusLine, PlcProgram, PlcSlave
from hardware.sim.ptys import PtyPort
from hardware.sim.relay import BoardKind, SerialBoardSim, TrayMachine

SOCKET = "machines.sock"


async def run(directory: Path) -> None:
    plc_port, relay_port = (PtyPort(directory / f"tty-{name}") for name in ("plc", "relay"))
    plc, tray = PlcProgram(), TrayMachine()
    line = ModbusLine(plc_port.send, baudrate=9600)
    line.attach(1, PlcSlave(plc))
    plc_port.on_bytes = line.receive
    relay_port.on_bytes = SerialBoardSim(BoardKind.LCUS, [tray], relay_port.send).receive

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readline():
            writer.write(json.dumps({"plc": plc.running, "relay": tray.closed}).encode() + b"\n")
            await writer.drain()
        writer.close()

    for port in (plc_port, relay_port):
        port.plug()
    server = await asyncio.start_unix_server(answer, directory / SOCKET)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(run(Path(sys.argv[1])))
