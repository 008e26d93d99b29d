"""A reference QoD operator: a small real service to develop, demonstrate and test against.

It speaks CAMARA Quality-On-Demand as two kinds of operator do (`dialects`), keeps its state in its own SQLite
file, runs as its own process, and shares no code with any client. On demand it misbehaves (`faults`), and it
keeps a ledger of every session for audits.
"""

from bayd.reference.qod.app import OperatorStartError, make_app, serve
from bayd.reference.qod.credentials import ClientRegistration, load_clients
from bayd.reference.qod.registry import issue_device_token, register_client

__all__ = [
    "ClientRegistration",
    "OperatorStartError",
    "issue_device_token",
    "load_clients",
    "make_app",
    "register_client",
    "serve",
]
