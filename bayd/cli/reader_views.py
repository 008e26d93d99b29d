"""Readers and what they hear, as the commands show them to people and programs."""

from collections.abc import Mapping
from typing import Any

from rich.console import Group
from rich.table import Table

import bayd
from bayd.cli.reader_target import Target
from bayd.devices.reader_documents import document_of
from bayd.devices.reader_talk import Identity
from bayd.tools.reader_watch import Tallies


def report_of(target: Target, found: Identity) -> dict[str, Any]:
    """Nothing that tells whose reader it is: no path, address, identifier or tag."""
    return {
        "report": 1,
        "bayd": bayd.__version__,
        "link": "socket" if "://" in target.link else "serial",
        **document_of(found),
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
