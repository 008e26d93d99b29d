"""Readers and what they hear, as the commands show them to people and programs."""

from collections.abc import Mapping
from typing import Any

from rich.console import Group
from rich.table import Table

import bayd
from bayd.cli.reader_target import Target
from bayd.reader_talk import Identity
from bayd.reader_watch import Tallies
from hardware.rfid import (
    AntennaMissing,
    AntennaRestored,
    PowerRefused,
    ReaderEvent,
    ReaderLost,
    ReaderOnline,
    TagBatch,
)


def summary_of(found: Identity) -> dict[str, Any]:
    return {
        "driver": found.driver,
        "baudrate": found.baudrate,
        "model": found.model,
        "firmware": found.firmware,
        "port_count": found.port_count,
        "power_dbm": list(found.power_dbm),
        "antennas": {str(port): found.has_antenna(port) for port in found.return_loss_db},
        "return_loss_db": {str(port): loss for port, loss in found.return_loss_db.items()},
        "facts": dict(found.facts),
    }


def report_of(target: Target, found: Identity) -> dict[str, Any]:
    """Nothing that tells whose reader it is: no path, address, identifier or tag."""
    summary = summary_of(found)
    return {
        "report": 1,
        "bayd": bayd.__version__,
        "link": "socket" if "://" in target.link else "serial",
        **summary,
        "exchanges": [
            {"question": one.question, "sent": one.sent, "got": list(one.got)} for one in found.exchanges
        ],
    }


def in_words(summary: Mapping[str, Any]) -> str:
    rate = "" if summary["baudrate"] is None else f" at {summary['baudrate']} baud"
    ports = "" if summary["port_count"] is None else f", {summary['port_count']} ports"
    return f"{summary['driver']}: {summary['model']}, firmware {summary['firmware']}{ports}{rate}"


def port_in_words(found: Identity, port: int) -> str:
    words = []
    if found.power_dbm:
        dbm = found.power_dbm[0] if len(found.power_dbm) == 1 else found.power_dbm[port - 1]
        words.append(f"{dbm} dBm")
    if (loss := found.return_loss_db.get(port)) is not None:
        state = "antenna" if found.has_antenna(port) else "no antenna"
        words.append(f"{state} (return loss {loss} dB)")
    return ", ".join(words) or "tells nothing"


def tag_rows(tallies: Tallies) -> list[dict[str, Any]]:
    return [
        {
            "port": tally.port,
            "epc": tally.epc,
            "reads": tally.reads,
            "rssi_dbm": tally.last_dbm,
            "highest_dbm": tally.highest_dbm,
            "rssi_raw": tally.last_raw,
            "highest_raw": tally.highest_raw,
        }
        for tally in tallies.sorted()
    ]


def tag_table(tallies: Tallies, notes: list[str] | None = None) -> Any:
    table = Table("port", "EPC", "reads", "dBm", "highest", "raw")
    for row in tag_rows(tallies):
        dbm, highest = row["rssi_dbm"], row["highest_dbm"]
        table.add_row(
            str(row["port"]),
            row["epc"],
            str(row["reads"]),
            "" if dbm is None else str(dbm),
            "" if highest is None else str(highest),
            str(row["rssi_raw"]),
        )
    return Group(table, *(notes or ()))


def json_lines_of(event: ReaderEvent) -> list[dict[str, Any]]:
    if isinstance(event, TagBatch):
        return [
            {
                "event": "tag",
                "port": read.port,
                "epc": read.epc,
                "rssi_dbm": read.rssi_dbm,
                "rssi_raw": read.rssi_raw,
            }
            for read in event.reads
        ]
    note = note_of(event)
    return [] if note is None else [{"event": "note", "text": note}]


def note_of(event: ReaderEvent) -> str | None:
    match event:
        case ReaderOnline():
            return "the reader answers"
        case ReaderLost(reason):
            return f"lost: {reason}"
        case AntennaMissing(port, detail):
            return f"no antenna at port {port}" + (f" ({detail})" if detail else "")
        case AntennaRestored(port):
            return f"an antenna at port {port} again"
        case PowerRefused(port, _, reason):
            return f"port {port}: {reason}"
        case _:
            return None
