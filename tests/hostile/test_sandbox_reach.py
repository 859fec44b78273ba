"""What a command in a sandbox cannot reach. Every escape is tried without a sandbox too, where it must succeed."""

import os
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TypedDict, Unpack

import pytest

from antiphon.subagents.process import Completed, run_command
from antiphon.subagents.sandbox import BACKENDS, Confinement, Sandbox, Unconfined, probe

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.real_time,
    pytest.mark.skipif(sys.platform != "linux", reason="there are sandboxes on Linux only"),
]
ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root could do it without a sandbox")
PYTHON = (sys.executable, "-I", "-S", "-c")
# Says what it could do. Each try is a function; what raises OSError did not work.
TRY = """
import ctypes, os, socket, sys, struct
libc = ctypes.CDLL(None, use_errno=True)
def checked(answer):
    if answer < 0: raise OSError(ctypes.get_errno(), "")
    return answer
def attempt(name, action):
    try:
        action()
    except (OSError, ValueError):
        return
    print(name)
"""


class Granted(TypedDict, total=False):
    """What a try is given."""

    read: tuple[Path, ...]
    write: tuple[Path, ...]
    network: bool


@pytest.fixture(params=["none", *BACKENDS])
def sandbox(request: pytest.FixtureRequest) -> Sandbox:
    """Each sandbox that works here, and none."""
    if request.param == "none":
        return Unconfined(consented=True)
    tried = probe(request.param)
    if tried.sandbox is None:
        pytest.skip(f"{request.param}: {tried.reason}")
    return tried.sandbox


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """An audited tree, with a link to a secret beside it."""
    (tmp_path / "secret").write_text("hunter2")
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "code.py").write_text("x = 1\n")
    (tree / "link").symlink_to(tmp_path / "secret")
    (tree / "up").symlink_to(tmp_path)
    return tree


@pytest.fixture
def victim(tmp_path: Path) -> Iterator[int]:
    """Another process of this user, with a secret in its environment, that lets anybody of the user trace it."""
    lax = "import ctypes, sys; ctypes.CDLL(None).prctl(0x59616d61, -1); print(flush=True); sys.stdin.read()"
    command = [*PYTHON, lax]
    environment = {"ANTIPHON_TEST_SECRET": "hunter2"}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stdin=pipe, stdout=pipe) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process.pid
        process.kill()


async def said(sandbox: Sandbox, code: str, *arguments: object, **granted: Unpack[Granted]) -> set[str]:
    """What the attempts in this code say that they could do."""
    confinement = Confinement(
        read=tuple(map(str, granted.get("read", ()))),
        write=tuple(map(str, granted.get("write", ()))),
        network=granted.get("network", False),
        executes=True,
    )
    ended = await run_command(
        [*PYTHON, TRY + code, *map(str, arguments)], sandbox=sandbox, confinement=confinement, timeout_seconds=60
    )
    assert isinstance(ended, Completed), ended
    assert (ended.exit, ended.stderr.decode()) == (0, ""), ended
    return set(ended.stdout.decode().split())


READ = """
attempt("granted", lambda: open(sys.argv[1] + "/code.py").read())
attempt("link", lambda: open(sys.argv[1] + "/link").read())
attempt("through", lambda: open(sys.argv[1] + "/up/secret").read())
attempt("dots", lambda: open(sys.argv[1] + "/../secret").read())
attempt("listed", lambda: os.listdir(sys.argv[1] + "/..").index("secret"))
attempt("root", lambda: open("/proc/1/root" + sys.argv[1] + "/../secret").read())
attempt("cwd", lambda: open("/proc/" + sys.argv[2] + "/cwd/secret").read())
"""


async def test_nothing_but_what_it_was_given_is_readable(sandbox: Sandbox, tree: Path, victim: int) -> None:
    could = await said(sandbox, READ, tree, victim, read=(tree,))
    escapes = {"link", "through", "dots", "listed", "cwd"}
    if sandbox.confines:
        assert could == {"granted"}
    else:
        assert could >= {"granted"} | escapes  # and "root", where the first process is in the same container


async def test_a_grant_that_leads_through_a_link_grants_nothing(sandbox: Sandbox, tree: Path) -> None:
    code = 'attempt("link", lambda: open(sys.argv[1]).read()); attempt("through", lambda: open(sys.argv[2]).read())'
    granted = (tree / "link", tree / "up" / "secret")
    could = await said(sandbox, code, *granted, read=granted)
    assert could == (set() if sandbox.confines else {"link", "through"})


async def test_more_files_than_are_mounted_one_by_one_are_still_exact(sandbox: Sandbox, tmp_path: Path) -> None:
    files = [tmp_path / f"{number}.py" for number in range(200)]
    for file in files:
        file.write_text("x")
    (tmp_path / "not-given").write_text("hunter2")
    code = """
attempt("all", lambda: [open(sys.argv[1] + f"/{n}.py").read() for n in range(200)])
attempt("other", lambda: open(sys.argv[1] + "/not-given").read())
"""
    could = await said(sandbox, code, tmp_path, read=tuple(files))
    if sandbox.name == "bubblewrap" and not probe("landlock").usable:
        pytest.skip("without Landlock the folders of many files are readable")
    assert could == ({"all"} if sandbox.confines else {"all", "other"})


@ROOT
async def test_files_of_the_system_with_secrets_are_out_of_reach(sandbox: Sandbox) -> None:
    code = 'attempt("shadow", lambda: open("/etc/shadow").read()); attempt("state", lambda: os.listdir("/var/lib"))'
    assert await said(sandbox, code) == (set() if sandbox.confines else {"shadow", "state"})


SETTINGS = """
found = {os.path.join(folder, name) for folder, _, names in os.walk("/proc/sys") for name in names}
for path in found | set(sys.argv[1:]):
    attempt(path, lambda: os.close(os.open(path, os.O_WRONLY)))
"""


@ROOT
async def test_no_setting_of_the_machine_can_be_changed(sandbox: Sandbox) -> None:
    """They belong to uid 0, so for root it takes no capability."""
    settings = {f"/proc/sys/{name}" for name in ("kernel/hostname", "kernel/core_pattern", "vm/swappiness")}
    could = await said(sandbox, SETTINGS, *settings)  # Landlock does not let it list them
    if sandbox.confines:
        assert could == set()
    else:
        assert could >= settings


CHANGE = """
os.chdir(sys.argv[1])
attempt("write", lambda: open("code.py", "a").write("y"))
attempt("truncate", lambda: os.truncate("code.py", 0))
attempt("open-truncate", lambda: os.open("code.py", os.O_RDONLY | os.O_TRUNC))
attempt("create", lambda: open("new", "w"))
attempt("mkdir", lambda: os.mkdir("folder"))
attempt("symlink", lambda: os.symlink("/etc", "elsewhere"))
attempt("hardlink", lambda: os.link("code.py", "other.py"))
attempt("chmod", lambda: os.chmod("code.py", 0o777))
attempt("fchmod", lambda: os.fchmod(os.open("code.py", os.O_RDONLY), 0o777))
attempt("utime", lambda: os.utime("code.py", (1, 1)))
attempt("xattr", lambda: os.setxattr("code.py", "user.antiphon", b"1"))
attempt("hook", lambda: open(".git/config", "a").write("[core]\\n fsmonitor = touch /tmp/x\\n"))
attempt("hooks", lambda: open(".git/hooks/post-checkout", "w").write("x"))
attempt("commondir", lambda: open(".git/commondir", "w").write("/tmp/evil"))
attempt("worktree", lambda: open(".git/config.worktree", "w").write("x"))
attempt("index", lambda: os.rename(".git/index", ".git/old"))
attempt("unlink", lambda: os.unlink("code.py"))
attempt("rename", lambda: os.rename("doomed", "renamed"))
"""
CHANGES = frozenset(line.split('"')[1] for line in CHANGE.splitlines() if line.startswith("attempt"))


def contents(folder: Path) -> dict[str, tuple[int, float, bytes]]:
    """All that can be seen of a tree."""
    stats = {path: path.lstat() for path in sorted(folder.rglob("*"))}
    return {
        str(path): (stat.st_mode, stat.st_mtime, path.read_bytes() if path.is_file() else b"")
        for path, stat in stats.items()
    }


async def test_nothing_of_an_audited_tree_can_be_changed(sandbox: Sandbox, tree: Path) -> None:
    (tree / ".git" / "hooks").mkdir(parents=True)
    for name in (".git/config", ".git/index", "doomed"):
        (tree / name).write_text("as it was")
    before = contents(tree.parent)
    could = await said(sandbox, CHANGE, tree, read=(tree,))
    after = contents(tree.parent)
    if sandbox.confines:
        assert could == set()
        assert after == before
    else:
        assert could >= CHANGES - {"xattr"}  # not every file system has those
        assert after != before


async def test_git_stays_read_only_in_a_folder_that_may_be_changed(sandbox: Sandbox, tmp_path: Path) -> None:
    (tmp_path / ".git").write_text("gitdir: /somewhere\n")
    code = """
os.chdir(sys.argv[1])
attempt("file", lambda: open("new", "w"))
attempt("pointer", lambda: open(".git", "w").write("gitdir: /tmp/evil"))
attempt("moved", lambda: os.rename(".git", "git"))
"""
    confinement = Confinement(write=(str(tmp_path),), executes=True)
    ended = await run_command([*PYTHON, TRY + code, str(tmp_path)], sandbox=sandbox, confinement=confinement)
    if sandbox.name == "landlock":  # its rules only add, so it refuses instead
        assert not isinstance(ended, Completed)
        assert "cannot keep" in ended.reason
        return
    assert isinstance(ended, Completed)
    could = set(ended.stdout.decode().split())
    assert could == ({"file"} if sandbox.confines else {"file", "pointer", "moved"})


async def test_only_folders_that_may_be_changed_can_be(sandbox: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "secret").write_text("hunter2")
    code = """
attempt("open", lambda: open(sys.argv[1] + "/open/file", "w").write("x"))
attempt("beside", lambda: open(sys.argv[1] + "/secret", "a").write("x"))
attempt("home", lambda: open(os.environ["HOME"] + "/file", "w").write("x"))
attempt("usr", lambda: os.rmdir(os.mkdir("/usr/antiphon-test") or "/usr/antiphon-test"))
"""
    could = await said(sandbox, code, tmp_path, write=(tmp_path / "open",))
    if sandbox.name == "bubblewrap":
        could.discard("beside")  # in a /tmp of its own, which is gone now
    escapes = {"beside", "usr"} if os.geteuid() == 0 else {"beside"}
    assert could == ({"open", "home"} if sandbox.confines else {"open", "home"} | escapes)
    assert (tmp_path / "secret").read_text() == ("hunter2" if sandbox.confines else "hunter2x")
    assert (tmp_path / "open" / "file").read_text() == "x"


OTHERS = """
pid = int(sys.argv[1])
def seen(pattern):
    for name in os.listdir("/proc"):
        if name.isdigit():
            try: text = open(f"/proc/{name}/environ", "rb").read()
            except OSError: continue
            if pattern in text: return
    raise OSError
def traced():
    checked(libc.ptrace(16, pid, None, None))
    os.waitpid(pid, 0)
    libc.ptrace(17, pid, None, None)
def vectors():
    class Piece(ctypes.Structure): _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]
    here, there = Piece(ctypes.addressof(ctypes.create_string_buffer(8)), 8), Piece(int(sys.argv[2]), 8)
    checked(libc.process_vm_readv(pid, ctypes.byref(here), 1, ctypes.byref(there), 1, 0))
attempt("environment", lambda: seen(b"ANTIPHON_TEST_SECRET=hunter2"))
attempt("memory", lambda: os.pread(os.open(f"/proc/{pid}/mem", os.O_RDONLY), 8, int(sys.argv[2])))
attempt("vectors", vectors)
attempt("trace", traced)
attempt("signal", lambda: os.kill(pid, 0))
attempt("everybody", lambda: os.kill(pid, 18))
attempt("priority", lambda: os.setpriority(os.PRIO_PROCESS, pid, 19))
attempt("limits", lambda: __import__("resource").prlimit(pid, 4, (0, 0)))
"""


def readable_address(pid: int) -> int:
    maps = Path(f"/proc/{pid}/maps").read_text().splitlines()
    return int(next(line for line in maps if " r" in line).split("-")[0], 16)


async def test_other_processes_are_out_of_reach(sandbox: Sandbox, victim: int) -> None:
    could = await said(sandbox, OTHERS, victim, readable_address(victim))
    if sandbox.name == "landlock":
        could.discard("priority")  # the kernel lets a process lower that of another one of its user
    escapes = {"environment", "memory", "vectors", "trace", "signal", "everybody", "priority", "limits"}
    assert could == (set() if sandbox.confines else escapes)


def leaked_by_bubblewrap() -> bytes:
    trap = ["bwrap", "--unshare-all", "--clearenv", "--ro-bind", "/", "/", "--proc", "/proc", "cat", "/proc/1/environ"]
    environment = os.environ | {"TOKEN": "hunter2"}
    return subprocess.run(trap, env=environment, capture_output=True, check=True).stdout


async def test_the_first_process_of_bubblewrap_holds_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """--clearenv is for the command alone; bwrap itself becomes the first process, with what it was started with."""
    tried = probe("bubblewrap")
    if tried.sandbox is None:
        pytest.skip(tried.reason)
    assert b"hunter2" in leaked_by_bubblewrap(), "the trap is real"
    monkeypatch.setenv("TOKEN", "hunter2")
    ended = await run_command(["cat", "/proc/1/environ"], sandbox=tried.sandbox)
    assert isinstance(ended, Completed)
    assert (ended.exit, ended.stdout) == (0, b"")


NETWORK = """
def to(family, kind, address):
    one = socket.socket(family, kind)
    one.connect(address)
    one.send(b"x")
attempt("tcp", lambda: to(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", int(sys.argv[1]))))
attempt("udp", lambda: to(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", int(sys.argv[1]))))
attempt("abstract", lambda: to(socket.AF_UNIX, socket.SOCK_STREAM, "\\0" + sys.argv[2]))
attempt("unix", lambda: to(socket.AF_UNIX, socket.SOCK_STREAM, sys.argv[3]))
attempt("netlink", lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0).bind((0, 0)))
attempt("listen", lambda: socket.create_server(("127.0.0.1", 0)))
attempt("datagrams", lambda: socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM))
attempt("pair", lambda: socket.socketpair())
"""


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[tuple[int, str, str]]:
    """A TCP and UDP port, the name of an abstract socket and the path of another, all of this machine."""
    abstract, path = f"antiphon-{uuid.uuid4().hex}", str(tmp_path / "s")
    with (
        socket.create_server(("127.0.0.1", 0)) as tcp,
        socket.socket(socket.AF_UNIX) as unnamed,
        socket.socket(socket.AF_UNIX) as named,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
    ):
        port = tcp.getsockname()[1]
        udp.bind(("127.0.0.1", port))
        for server, address in ((unnamed, "\0" + abstract), (named, path)):
            server.bind(address)
            server.listen()
        yield port, abstract, path


async def test_the_network_and_services_of_the_machine_are_shut(
    sandbox: Sandbox, servers: tuple[int, str, str], tmp_path: Path
) -> None:
    could = await said(sandbox, NETWORK, *servers, read=(tmp_path,))
    reachable = {"tcp", "udp", "abstract", "unix", "netlink", "listen", "datagrams", "pair"}
    assert could == ({"pair"} if sandbox.confines else reachable)


async def test_a_declared_network_is_that_of_the_internet_alone(
    sandbox: Sandbox, servers: tuple[int, str, str], tmp_path: Path
) -> None:
    could = await said(sandbox, NETWORK, *servers, read=(tmp_path,), network=True)
    assert could >= {"tcp", "udp", "listen", "netlink"}
    assert (could & {"abstract", "unix", "datagrams"}) == (
        set() if sandbox.confines else {"abstract", "unix", "datagrams"}
    )


async def test_it_cannot_type_into_a_terminal(sandbox: Sandbox) -> None:
    code = """
import errno, fcntl
try: fcntl.ioctl(0, 0x5412, b"x")
except OSError as error: print(errno.errorcode[error.errno])
"""
    assert await said(sandbox, code) == ({"EPERM"} if sandbox.confines else {"ENOTTY"})


async def test_it_has_a_session_of_its_own(sandbox: Sandbox) -> None:
    assert await said(sandbox, "print(os.getsid(0) in (os.getpid(), 1))") == {"True"}
    code = 'attempt("terminal", lambda: open("/dev/tty"))'
    assert await said(sandbox, code) == set()


NAMESPACES = """
attempt("clone", lambda: os._exit(0) if checked(libc.syscall(56, 0x10000011, 0, 0, 0, 0)) == 0 else os.wait())
attempt("unshare", lambda: checked(libc.unshare(0x10000000)))
"""


@ROOT
async def test_no_namespace_can_be_made(sandbox: Sandbox) -> None:
    if os.uname().machine != "x86_64":
        pytest.skip("the number of clone is that of x86_64")
    assert await said(sandbox, NAMESPACES) == (set() if sandbox.confines else {"unshare", "clone"})


@pytest.fixture
def setuid_program(tmp_path: Path) -> Path:
    """A program that runs as nobody, whoever starts it."""
    program = tmp_path / "id"
    program.write_bytes(Path("/usr/bin/id").read_bytes())
    os.chown(program, 65534, 65534)
    program.chmod(0o6755)
    return program


@ROOT
async def test_a_setuid_program_gives_nothing(sandbox: Sandbox, setuid_program: Path) -> None:
    program = setuid_program
    confinement = Confinement(read=(str(program),), executes=True)
    ended = await run_command([str(program), "-u"], sandbox=sandbox, confinement=confinement)
    assert isinstance(ended, Completed)
    assert (ended.exit, ended.stdout.strip()) == (0, b"0" if sandbox.confines else b"65534")


async def test_it_inherits_no_descriptor(sandbox: Sandbox) -> None:
    assert await said(sandbox, "print(*os.listdir('/proc/self/fd'))") == {"0", "1", "2", "3"}, "3 is the listing itself"


async def test_no_privilege_is_left(sandbox: Sandbox) -> None:
    """The bounding set can be emptied by root alone; without it nothing can be gained either."""
    wanted = ("CapP", "CapB", "NoNe") if os.geteuid() == 0 else ("CapP", "NoNe")
    code = f'print(*(line.split()[1] for line in open("/proc/self/status") if line[:4] in {wanted}))'
    kept = {"0" * 16, "1"}
    could = await said(sandbox, code)
    assert could == kept if sandbox.confines else could != kept


async def test_code_of_the_tree_is_executed_only_where_that_is_declared(sandbox: Sandbox, tree: Path) -> None:
    script = tree / "run"
    script.write_text("#!/bin/sh\necho ran\n")
    script.chmod(0o755)
    arguments = ["env", str(script)]
    declared = await run_command(arguments, sandbox=sandbox, confinement=Confinement(read=(str(tree),), executes=True))
    assert isinstance(declared, Completed)
    assert declared.stdout == b"ran\n"
    only_read = await run_command(arguments, sandbox=sandbox, confinement=Confinement(read=(str(tree),)))
    assert isinstance(only_read, Completed)
    assert (only_read.stdout == b"") is (sandbox.name == "landlock")  # bubblewrap has no mount option for it yet


async def test_without_a_sandbox_nothing_is_executed_that_nobody_asked_for() -> None:
    ended = await run_command(["true"], sandbox=Unconfined(), confinement=Confinement(executes=True))
    assert not isinstance(ended, Completed)
    assert "there is no sandbox" in ended.reason
    assert "--sandbox none" in ended.advice
