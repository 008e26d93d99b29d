"""The way in for tools on this machine: a unix socket whose callers the kernel names.

Who may connect is the file's mode (0660: root, the daemon's user, its group); who it is says SO_PEERCRED,
which nobody can make up (unix(7)). No token is needed, and none can be lost. See
docs/adr/0010-local-socket.md.
"""

import asyncio
import contextlib
import errno
import os
import pwd
import socket
import stat
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bayd.core.inputs import Actor, Role
from bayd.ports import Log

_MODE = 0o660
_UCRED = struct.Struct("3i")  # pid, uid, gid (unix(7), SO_PEERCRED)
_SO_PEERGROUPS = 59  # asm-generic/socket.h; Python has no name for it
_GROUPS_BYTES = 1024  # the most that Python asks for: 256 groups
_QUEUE = 64


@dataclass(frozen=True, slots=True)
class Peer:
    """A process at the other end of the socket."""

    uid: int
    gids: frozenset[int]

    @property
    def is_operator(self) -> bool:
        """Root, or the daemon's own user: whoever may write the journal's files may do all that they say."""
        return self.uid in (0, os.geteuid())

    @property
    def is_welcome(self) -> bool:
        return self.is_operator or os.getegid() in self.gids

    @property
    def name(self) -> str:
        """As it stands in records."""
        try:
            return f"local:{pwd.getpwuid(self.uid).pw_name}"
        except KeyError:
            return f"local:uid-{self.uid}"

    def actor(self, roles: frozenset[Role] | None) -> Actor:
        """Whom a call sees. Operators are staff where staff may do it, else technicians."""
        as_staff = self.is_operator and (roles is None or Role.STAFF in roles)
        return Actor(Role.STAFF if as_staff else Role.TECHNICIAN, self.name)


def peer_of(transport: asyncio.BaseTransport | None) -> Peer | None:
    """None: no unix socket, or nobody is there any more."""
    sock = None if transport is None else transport.get_extra_info("socket")
    if sock is None or sock.family != socket.AF_UNIX:
        return None
    try:
        credentials = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
        _pid, uid, gid = _UCRED.unpack(credentials)
        groups = sock.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, _GROUPS_BYTES)
    except OSError:
        return None
    gids = struct.unpack(f"{len(groups) // 4}I", groups)
    return Peer(uid, frozenset((gid, *gids)))


class LocalSocket:
    """The file and who listens at it. That it cannot be opened costs the tools, never the bays."""

    def __init__(self, path: Path | None, log: Log) -> None:
        self._path = path  # None: switched off
        self._log = log
        self._problem: str | None = None

    def open(self) -> socket.socket | None:
        """The listening socket; a file that a killed daemon left is replaced, one that answers is not."""
        if self._path is None:
            return None
        try:
            return _bind(self._path)
        except OSError as error:
            self._problem = f"{self._path}: {error.strerror or error}"
            self._log.warning("local_socket_unavailable", path=str(self._path), reason=str(error))
            return None

    def close(self) -> None:
        """Takes the file away that `open` made."""
        if self._path is not None and self._problem is None:
            with contextlib.suppress(OSError):
                self._path.unlink()

    def warnings(self) -> list[dict[str, Any]]:
        if self._problem is None:
            return []
        text = f"Tools on this machine find no way in: {self._problem}. See http.socket."
        return [{"code": "local_socket_unavailable", "since": None, "text": text}]


def _bind(path: Path) -> socket.socket:
    _clear_away(path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        # Nobody connects before mode and group are right.
        before = os.umask(0o177)
        try:
            sock.bind(str(path))
        finally:
            os.umask(before)
        if path.stat().st_gid != os.getegid():  # in a directory that hands on its group
            os.chown(path, -1, os.getegid())  # a call that the unit's sandbox refuses
        path.chmod(_MODE)
        sock.listen(_QUEUE)
    except OSError:
        sock.close()
        raise
    return sock


def _clear_away(path: Path) -> None:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise OSError(errno.EEXIST, "is there already, and no socket", str(path))
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as probe:
        if probe.connect_ex(str(path)) != errno.ECONNREFUSED:
            raise OSError(errno.EADDRINUSE, "another process listens there", str(path))
    path.unlink()
