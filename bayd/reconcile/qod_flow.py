"""What is asked of the operator for a bay: one device, one server, one profile. And who asks.

Exactly one identifier of the device goes out. The flow's name goes into the journal: it says that another
device, server or profile is configured now, and gives no number away.
"""

import hashlib
import ipaddress
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from bayd.clients.qod import (
    ApplicationServer,
    CreateSession,
    CreateSessionWebhook,
    Device,
    DeviceIpv4Addr,
    Dialect,
    InvalidInputError,
    QodClient,
    QosStatus,
    SessionInfo,
    StatusInfo,
    get_dialect,
)
from bayd.core.qos import Terms
from bayd.credentials import Credentials
from bayd.ports import Clock, HttpTransport, Randomness
from bayd.settings import BayQod, Qod

# After the operator's return a session that nobody needs any more is to be gone within a minute.
_CIRCUIT_MAX_S = 30.0
_MARK_DIGITS = 4  # enough to see a change, too few to find a number by trying


class QodUnusableError(Exception):
    """The operator cannot be asked for anything; the message says what is missing or wrong."""


@dataclass(frozen=True, slots=True)
class Flow:
    name: str
    device: Device = field(repr=False)
    application_server: ApplicationServer = field(repr=False)
    profile: str

    def request(self, asked_s: int, webhook: CreateSessionWebhook | None = None) -> CreateSession:
        return CreateSession(
            device=self.device,
            application_server=self.application_server,
            qos_profile=self.profile,
            webhook=webhook,
            duration=asked_s,
        )

    def has(self, info: SessionInfo) -> bool:
        """On this flow, and alive or in the way. The operator shows only sessions of our own client."""
        over = info.qos_status == QosStatus.UNAVAILABLE
        if over and info.status_info in (StatusInfo.DURATION_EXPIRED, StatusInfo.DELETE_REQUESTED):
            return False
        server, profile = info.application_server, info.qos_profile
        return server in (None, self.application_server) and profile in (None, self.profile)


def flow_of(number: str, qod: Qod, bay: BayQod) -> Flow:
    device = _device(bay)
    server = _server(qod.application_server)
    told = "|".join(
        (qod.base_url, qod.profile, server.model_dump_json(), device.model_dump_json(exclude_none=True))
    )
    mark = hashlib.sha256(told.encode()).hexdigest()[:_MARK_DIGITS]
    return Flow(f"{number}#{mark}", device, server, qod.profile)


def dialect_of(qod: Qod) -> Dialect:
    return replace(get_dialect(qod.dialect), min_duration_s=qod.min_duration_s)


def terms_of(qod: Qod, flow: Flow | None, time_scale: float) -> Terms:
    """`time_scale` shortens what is measured in play; the operator's own times stay as they are."""
    dialect, usual = dialect_of(qod), Terms("", can_extend=False, can_retrieve=False)
    return Terms(
        flow="" if flow is None else flow.name,
        can_extend=dialect.can_extend,
        can_retrieve=dialect.can_retrieve and flow is not None,
        min_duration_s=dialect.min_duration_s,
        max_duration_s=dialect.max_duration_s,
        max_lease_s=qod.max_lease_s,
        worthwhile_ms=round(usual.worthwhile_ms / time_scale),
        pause_ms=round(usual.pause_ms / time_scale),
    )


def missing_credentials(qod: Qod, credentials: Credentials) -> list[str]:
    """The names of those that this dialect cannot do without."""
    wanted = {"qod_client_id": credentials.qod_client_id}
    if dialect_of(qod).proof_of_possession:
        wanted["qod_client_secret"] = credentials.qod_client_secret
        wanted["qod_private_key"] = credentials.qod_private_key
    elif not credentials.qod_private_key:
        wanted["qod_client_secret"] = credentials.qod_client_secret
    return [name for name, value in wanted.items() if not value]


def make_client(
    qod: Qod,
    credentials: Credentials,
    transport: HttpTransport,
    *,
    clock: Clock,
    randomness: Randomness,
    deadline_s: float | None = None,
) -> QodClient:
    """The transport stays the caller's to close. Raises QodUnusableError, naming what is missing.

    `deadline_s`: for a GET or DELETE with all its attempts; None: little more than one, for the caller asks
    again by itself.
    """
    missing = missing_credentials(qod, credentials)
    if missing:
        raise QodUnusableError(f"the credential {', '.join(missing)} is missing")
    now_s: Callable[[], float] = lambda: clock.now().boot_ms / 1000  # noqa: E731 # two clocks, one line each
    wall_s: Callable[[], float] = lambda: clock.now().wall_ms / 1000  # noqa: E731
    try:
        return QodClient(
            client_id=credentials.qod_client_id or "",
            client_secret=credentials.qod_client_secret or "",
            private_key=credentials.qod_private_key or "",
            base_url=qod.base_url,
            timeout=qod.timeout_s * 1000,
            dialect=dialect_of(qod),
            token_url=qod.token_url,
            deadline_s=qod.timeout_s if deadline_s is None else deadline_s,
            circuit_max_s=_CIRCUIT_MAX_S,
            transport=transport,
            wall_clock=wall_s,
            monotonic=now_s,
            new_uuid=randomness.new_uuid,
            jitter=randomness.jitter,
        )
    except InvalidInputError as error:
        raise QodUnusableError(str(error)) from error


def _device(bay: BayQod) -> Device:
    if bay.phone_number is not None:
        return Device(phone_number=bay.phone_number)
    if bay.ipv4_address is not None:
        # The screen's SIM has a public address of its own: the private one is the same.
        address = DeviceIpv4Addr(public_address=bay.ipv4_address, private_address=bay.ipv4_address)
        return Device(ipv4_address=address)
    return Device(ipv6_address=bay.ipv6_address)


def _server(address: str) -> ApplicationServer:
    if ipaddress.ip_interface(address).version == 4:
        return ApplicationServer(ipv4_address=address)
    return ApplicationServer(ipv6_address=address)
