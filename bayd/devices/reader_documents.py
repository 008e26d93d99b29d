"""What readers say, as JSON documents: for reports, for the API, and back again for the command line."""

from collections.abc import Mapping
from typing import Any

from bayd.devices.reader_talk import Exchange, Identity
from hardware.rfid import (
    AntennaMissing,
    AntennaRestored,
    PowerRefused,
    ReaderEvent,
    ReaderLost,
    ReaderOnline,
    TagRead,
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


def document_of(found: Identity) -> dict[str, Any]:
    """The summary, and the frames of each question."""
    exchanges = [{"question": x.question, "sent": x.sent, "got": list(x.got)} for x in found.exchanges]
    return {**summary_of(found), "exchanges": exchanges}


def identity_of(document: Mapping[str, Any]) -> Identity:
    """What `document_of` made a document of."""
    return Identity(
        driver=document["driver"],
        baudrate=document["baudrate"],
        model=document["model"],
        firmware=document["firmware"],
        port_count=document["port_count"],
        power_dbm=tuple(document["power_dbm"]),
        return_loss_db={int(port): loss for port, loss in document["return_loss_db"].items()},
        facts=document["facts"],
        exchanges=tuple(Exchange(x["question"], x["sent"], tuple(x["got"])) for x in document["exchanges"]),
    )


def read_document(read: TagRead) -> dict[str, Any]:
    return {"port": read.port, "epc": read.epc, "rssi_dbm": read.rssi_dbm, "rssi_raw": read.rssi_raw}


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
