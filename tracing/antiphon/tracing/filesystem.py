"""What file system a path is on, because a log needs locks and an fsync that network file systems do not keep to."""

import os
import re
import sys
from pathlib import Path
from typing import Final

NETWORK: Final = frozenset(
    {
        "9p", "acfs", "afpfs", "afs", "beegfs", "ceph", "cifs", "coda", "davfs", "fuse.ceph", "fuse.glusterfs",
        "fuse.gcsfuse", "fuse.goofys", "fuse.mount-s3", "fuse.rclone", "fuse.s3fs", "fuse.sshfs", "fuse.vmhgfs-fuse",
        "glusterfs", "gfs", "gfs2", "gpfs", "lustre", "macfuse_sshfs", "ncpfs", "nfs", "nfs3", "nfs4", "ocfs2",
        "orangefs", "osxfuse_sshfs", "panfs", "pvfs2", "smb2", "smb3", "smbfs", "vboxsf", "virtiofs", "vmhgfs",
        "webdav",
    }
)  # fmt: skip
"""Names of file systems that are on another machine or shared with one."""

UNKNOWN: Final = "unknown"

_OCTAL = re.compile(r"\\([0-7]{3})")
_MOUNT_LINE = re.compile(r"^.*? on (?P<point>/.*) \((?P<kind>[^,()]+)[^()]*\)$")


def is_network(filesystem: str) -> bool:
    """Whether a file system's name is that of a network file system."""
    return filesystem.lower() in NETWORK


def filesystem_of(path: Path) -> str:
    """The name of the file system that holds a path, such as `ext4` or `nfs4`.

    Args:
        path: It need not exist: then its nearest parent that does decides.

    Returns:
        The name, or `"unknown"` where the system does not tell.
    """
    where = os.path.realpath(path)
    try:
        if sys.platform == "linux":
            text = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape")
            return from_mountinfo(text, where)
    except OSError:
        return UNKNOWN
    return from_mount_output(_mount_output(), where)


def from_mountinfo(text: str, path: str) -> str:
    """The file system of an absolute path, by the text of Linux's `/proc/self/mountinfo`."""
    mounts: list[tuple[str, str]] = []
    for line in text.splitlines():
        before, dash, after = line.partition(" - ")
        fields = before.split(" ")
        if dash and len(fields) > 4:
            mounts.append((_unescape(fields[4]), after.split(" ")[0]))
    return _longest(mounts, path)


def from_mount_output(text: str, path: str) -> str:
    """The file system of an absolute path, by what `mount` prints on macOS."""
    found = (_MOUNT_LINE.match(line) for line in text.splitlines())
    return _longest([(line["point"], line["kind"].strip()) for line in found if line], path)


def _mount_output() -> str:
    import subprocess  # only macOS needs it, and it takes milliseconds to import

    try:
        listing = subprocess.run(["/sbin/mount"], capture_output=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return os.fsdecode(listing.stdout)


def _unescape(field: str) -> str:
    return _OCTAL.sub(lambda code: chr(int(code[1], 8)), field)


def _longest(mounts: list[tuple[str, str]], path: str) -> str:
    """The kind of the mount whose point is the longest prefix; of equals the last, which covers the others."""
    best, kind = -1, UNKNOWN
    for point, name in mounts:
        inside = path == point or path.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= best:
            best, kind = len(point), name
    return kind
