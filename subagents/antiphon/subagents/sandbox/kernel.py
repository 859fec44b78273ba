"""What this kernel offers for confining a process. Questions only; nothing is changed by asking."""

from __future__ import annotations

import ctypes
import os
import sys
from functools import cache
from pathlib import Path
from typing import Final

_LANDLOCK_CREATE_RULESET: Final = 444  # the same on every machine but alpha
_ASK_VERSION: Final = 1

# linux/landlock.h, in the order of its versions.
EXECUTE, WRITE_FILE, READ_FILE, READ_DIR, REMOVE_DIR, REMOVE_FILE = (1 << bit for bit in range(6))
MAKE_CHAR, MAKE_DIR, MAKE_REG, MAKE_SOCK, MAKE_FIFO, MAKE_BLOCK, MAKE_SYM = (1 << bit for bit in range(6, 13))
REFER, TRUNCATE, IOCTL_DEV = (1 << bit for bit in range(13, 16))
BIND_TCP, CONNECT_TCP = 1, 2
SCOPE_ABSTRACT_SOCKETS, SCOPE_SIGNALS = 1, 2
ABI_WITH_TRUNCATE, ABI_WITH_NETWORK, ABI_WITH_IOCTL, ABI_WITH_SCOPES = 3, 4, 5, 6


@cache
def landlock_abi() -> int:
    """The version of Landlock that this kernel speaks; 0 if it has none, or has it switched off."""
    if sys.platform != "linux":
        return 0
    system_call = ctypes.CDLL(None, use_errno=True).syscall
    answer = system_call(ctypes.c_long(_LANDLOCK_CREATE_RULESET), None, ctypes.c_size_t(0), ctypes.c_uint(_ASK_VERSION))
    return max(int(answer), 0)


def filesystem_rights(abi: int) -> int:
    """All that a version can govern of files."""
    rights = REFER - 1
    for since, right in ((2, REFER), (ABI_WITH_TRUNCATE, TRUNCATE), (ABI_WITH_IOCTL, IOCTL_DEV)):
        rights |= right if abi >= since else 0
    return rights


def user_namespaces() -> str | None:
    """Why an ordinary user may not make namespaces; None if nothing is known to forbid it."""
    for file, refusing, name in (
        ("/proc/sys/user/max_user_namespaces", "0", "user.max_user_namespaces=0"),
        ("/proc/sys/kernel/unprivileged_userns_clone", "0", "kernel.unprivileged_userns_clone=0"),
        ("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1", "AppArmor restricts user namespaces"),
    ):
        if os.geteuid() != 0 and _says(file) == refusing:
            return name
    return None


def _says(file: str) -> str | None:
    try:
        return Path(file).read_text("ascii").strip()
    except (OSError, ValueError):
        return None
