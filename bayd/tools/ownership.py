"""Root at the daemon's files: what root creates beside the journal, the daemon's user could not open.

Whoever owns the state directory owns all in it, so root becomes that user before it writes there. To hand the
files over afterwards would be no good way: in somebody else's directory a name may lead anywhere by then.
"""

import os
import pwd
from pathlib import Path

_OWN = ("journal.db", "commission")  # how the names begin of what the daemon opens there


def become_owner(directory: Path) -> str | None:
    """Root is the directory's owner from now on, for good; whose name that is. None: nothing has changed."""
    try:
        owner = directory.stat()
    except FileNotFoundError:
        return None
    if os.geteuid() != 0 or owner.st_uid == 0:
        return None
    name = name_of(owner.st_uid)
    os.setgroups(os.getgrouplist(name, owner.st_gid) if name != str(owner.st_uid) else [])
    os.setgid(owner.st_gid)
    os.setuid(owner.st_uid)
    os.umask(0o077)
    return name


def strangers(directory: Path) -> list[Path]:
    """The daemon's own files in it that are not its owner's."""
    owner = directory.stat().st_uid
    return sorted(
        path for path in directory.iterdir() if path.name.startswith(_OWN) and path.lstat().st_uid != owner
    )


def name_of(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
