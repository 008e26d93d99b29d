"""A reference central server: the documented Session API and its siblings, real rules, on SQLite.

A small service with its own file, run as its own process on loopback, for the demonstration and the
tests. It speaks the documented wire and shares no code with any client of it. `routes` lists every
call; `sessions`, `bays`, `money`, `site` and `staff` hold the rules, each a plain function of a
`Ledger` (one transaction); `http` is the way in and out. Extensions beyond the documents, named so in
`/openapi.json`: `Idempotency-Key`, `POST` and `GET /bay/state`, `GET /events`, the page at `/`, the
booking's `sessionUsers`, `ballLevel` and `bookedTill` in `PATCH /bay`, faults to order at `/_faults`.
"""

from bayd.reference.central.seed import DEFAULT_BAYS, DEMO_GAMES, DemoGame, seed_site
from bayd.reference.central.service import make_app, serve
from bayd.reference.central.settings import CentralSettings, StaffLogin

__all__ = [
    "DEFAULT_BAYS",
    "DEMO_GAMES",
    "CentralSettings",
    "DemoGame",
    "StaffLogin",
    "make_app",
    "seed_site",
    "serve",
]
