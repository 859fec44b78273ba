"""What file system a path is on, by the texts of both systems."""

from pathlib import Path

import pytest

from antiphon.tracing.filesystem import filesystem_of, from_mount_output, from_mountinfo, is_network

LINUX = r"""
21 26 0:20 / /proc rw,nosuid - proc proc rw
26 1 259:2 / / rw,relatime shared:1 - ext4 /dev/nvme0n1p2 rw
30 26 0:44 / /home rw shared:9 master:1 - nfs4 server:/export/home rw,vers=4.2
31 30 0:45 /deep /home/a\040b rw - btrfs /dev/sdb rw
32 26 0:46 / /mnt/w rw - 9p drvfs rw,aname=drvfs
33 26 0:47 / /over rw - ext4 /dev/sdc rw
34 26 0:48 / /over rw - fuse.sshfs me@host: rw
broken line
35 26
""".strip()

MAC = """
/dev/disk3s1s1 on / (apfs, sealed, local, read-only, journaled)
devfs on /dev (devfs, local, nobrowse)
/dev/disk3s5 on /System/Volumes/Data (apfs, local, journaled, nobrowse, protect)
//me@nas._smb._tcp.local/Share on /Volumes/Share (smbfs, nodev, nosuid, mounted by me)
server:/x on /Volumes/A (copy) on (b) (nfs)
map auto_home on /System/Volumes/Data/home (autofs, automounted, nobrowse)
nonsense
""".strip()


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/", "ext4"),
        ("/etc/x", "ext4"),
        ("/home", "nfs4"),
        ("/home/me/run", "nfs4"),
        ("/homes/me", "ext4"),
        ("/home/a b/run", "btrfs"),
        ("/home/a bc", "nfs4"),
        ("/mnt/w", "9p"),
        ("/over/x", "fuse.sshfs"),
        ("/proc/1", "proc"),
    ],
)
def test_linux(path: str, expected: str) -> None:
    assert from_mountinfo(LINUX, path) == expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/", "apfs"),
        ("/Users/me", "apfs"),
        ("/Volumes/Share/x", "smbfs"),
        ("/Volumes/Shared", "apfs"),
        ("/Volumes/A (copy) on (b)/run", "nfs"),
        ("/System/Volumes/Data/home/x", "autofs"),
    ],
)
def test_macos(path: str, expected: str) -> None:
    assert from_mount_output(MAC, path) == expected


def test_nothing_known_is_not_a_network() -> None:
    assert from_mountinfo("", "/x") == from_mount_output("", "/x") == "unknown"
    assert not is_network("unknown")


@pytest.mark.parametrize(
    "name",
    ["nfs", "nfs4", "cifs", "smb3", "smbfs", "SMBFS", "9p", "fuse.sshfs", "ceph", "lustre", "afpfs", "glusterfs"],
)
def test_network_file_systems(name: str) -> None:
    assert is_network(name)


@pytest.mark.parametrize("name", ["ext4", "xfs", "btrfs", "apfs", "tmpfs", "overlay", "zfs", "fuseblk", "hfs"])
def test_local_file_systems(name: str) -> None:
    assert not is_network(name)


def test_this_machine(tmp_path: Path) -> None:
    assert filesystem_of(tmp_path / "not" / "there") not in ("", "unknown")
    (tmp_path / "link").symlink_to("/proc")
    assert filesystem_of(tmp_path / "link") == filesystem_of(Path("/proc"))
