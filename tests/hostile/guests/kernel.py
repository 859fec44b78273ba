"""What only the kernel can refuse: the primitive is in hand, reached through the interpreter's own builtin modules."""

from tests.hostile.guests.technique import Effect, Technique

REACH = '''
def module(name):
    """A module that nobody imports here: built into the interpreter, or loaded already, or else by its name."""
    for kind in object.__subclasses__():
        if kind.__name__ == "BuiltinImporter":
            try: return kind.load_module(name)
            except ImportError: pass
        if kind.__name__ == "_wrap_close" and name in kind.__init__.__globals__["sys"].modules:
            return kind.__init__.__globals__["sys"].modules[name]
    printing = getattr(print, "__func__", None)  # of the jail's own part, which keeps what it needed before it was shut
    if printing is not None and name in printing.__globals__: return printing.__globals__[name]
    return __import__(name)

def tried(told, name, call, *given):
    """Whether the kernel let it happen. What it refused has a number; what did, says so."""
    try: got = call(*given)
    except OSError as error: told.append(name + ": refused " + str(error.errno))
    except ValueError: told.append(name + ": refused")
    except (AttributeError, TypeError, NotImplementedError): told.append(name + ": absent")
    else: told.append(name + ": DONE " + repr(got)[:200])
'''


def in_hand(name: str, what: str, text: str, does: Effect | None = None) -> Technique:
    """A technique that has the module `posix` to begin with."""
    lines = "".join(f"    {line}\n" for line in text.strip("\n").splitlines())
    whole = f'{REACH}\ndef attack():\n    posix, told = module("posix"), ["reached posix"]\n{lines}    return told\n'
    return Technique(name=name, family="the kernel", what=what, text=whole, does=does)


_of = in_hand

KERNEL = [
    _of(
        "kernel-open-read",
        "`posix.open` of a file outside",
        'tried(told, "open", lambda: posix.read(posix.open(CANARY, posix.O_RDONLY), 100))',
        "reads",
    ),
    _of(
        "kernel-open-write",
        "`posix.open` with O_CREAT",
        'tried(told, "create", lambda: posix.open(FOLDER + "/written", posix.O_CREAT | posix.O_WRONLY))',
        "writes",
    ),
    _of(
        "kernel-files",
        "every function of `posix` that takes a path: rename, link, unlink, chmod, truncate, mkdir, mknod, ...",
        """
new = FOLDER + "/written"
for name, given in [
    ("listdir", ("/",)), ("scandir", (FOLDER,)), ("stat", (CANARY,)), ("lstat", (CANARY,)),
    ("readlink", ("/proc/self/exe",)),
    ("access", (CANARY, 4)), ("mkdir", (new,)), ("mkfifo", (new + "f",)), ("mknod", (new + "n",)),
    ("link", (CANARY, new + "l")),
    ("symlink", (CANARY, new + "s")), ("chmod", (CANARY, 0o777)), ("chown", (CANARY, 0, 0)), ("utime", (CANARY,)),
    ("truncate", (CANARY, 0)), ("rename", (CANARY, new + "r")), ("unlink", (CANARY,)), ("rmdir", (FOLDER,)),
    ("chdir", ("/",)), ("chroot", ("/",)), ("statvfs", ("/",)), ("setxattr", (CANARY, "user.a", b"1")),
    ("getxattr", (CANARY, "user.a")), ("listxattr", (CANARY,)), ("pathconf", ("/", 3)),
]:
    if hasattr(posix, name):
        got = []
        tried(got, name, getattr(posix, name), *given)
        told.extend(line for line in got if not (name == "access" and "DONE False" in line))
""",
        "writes",
    ),
    _of(
        "kernel-proc",
        "`/proc`: the environment, memory, descriptors and maps of itself, its parent and process 1",
        """
for who in ("self", "1", str(posix.getppid())):
    for name in ("environ", "cmdline", "maps", "mem", "status", "root/etc/passwd"):
        path = "/proc/" + who + "/" + name
        tried(told, path, lambda: posix.read(posix.open(path, posix.O_RDONLY), 100000).decode(errors="replace"))
tried(told, "fds", lambda: posix.listdir("/proc/self/fd"))
""",
    ),
    _of(
        "kernel-own-environment",
        "what the process has of the host's environment",
        "told.append(str(posix.environ))",
        "tells",
    ),
    _of(
        "kernel-devices",
        "`/dev/tty`, `/dev/mem`, `/dev/shm`, `/sys`",
        """
for path in ("/dev/tty", "/dev/mem", "/dev/kmsg", "/dev/shm", "/dev/null", "/sys/kernel", "/etc/shadow", "/root"):
    tried(told, path, posix.open, path, posix.O_RDONLY)
""",
    ),
    _of(
        "kernel-fork",
        "`fork`, and the child leaves a mark",
        """
def born():
    if posix.fork() == 0:
        posix.close(posix.open(MARK, posix.O_CREAT | posix.O_WRONLY))
        posix._exit(0)
    posix.wait()
tried(told, "fork", born)
""",
        "runs",
    ),
    _of(
        "kernel-fork-bomb",
        "`fork` without end",
        """
for number in range(50):
    tried(told, "fork", lambda: posix.fork() or posix._exit(0))
""",
    ),
    _of(
        "kernel-fork-and-stay",
        "a child in a session of its own, which outlives its parent",
        """
def stay():
    if posix.fork() == 0:
        posix.setsid()
        while True: pass
tried(told, "fork", stay)
""",
    ),
    _of(
        "kernel-exec",
        "`execv` replaces the process by a shell",
        'tried(told, "execv", posix.execv, "/bin/sh", ["sh", "-c", "touch " + MARK])',
        "runs",
    ),
    _of(
        "kernel-spawn",
        "`posix_spawn`",
        """
tried(told, "spawn", lambda: posix.waitpid(posix.posix_spawn("/bin/touch", ["touch", MARK], {}), 0))
tried(told, "spawn again", lambda: posix.waitpid(posix.posix_spawn("/usr/bin/touch", ["touch", MARK], {}), 0))
""",
        "runs",
    ),
    _of("kernel-system", "`posix.system`", 'told.append(str(posix.system("touch " + MARK)))', "runs"),
    _of(
        "kernel-fork-exec",
        "`_posixsubprocess.fork_exec`, under `subprocess`",
        """
sys = module("enum").sys
fork_exec = module("_posixsubprocess")
read, write = posix.pipe()
fork_exec.fork_exec(
    [b"/bin/touch", MARK.encode()], [b"/bin/touch"], True, (write,), None, None, -1, -1, -1, -1, -1, -1,
    read, write, False, False, -1, None, None, None, -1, None, *([True] if sys.version_info < (3, 14) else [])
)
""",
    ),
    _of(
        "kernel-memfd-exec",
        "a program in a file without a name, executed by its descriptor",
        """
def made():
    held = posix.memfd_create("x")
    posix.write(held, b"#!/bin/sh\\ntouch " + MARK.encode())
    posix.execve(held, ["x"], {})
tried(told, "memfd", made)
""",
    ),
    _of(
        "kernel-signals",
        "signals to the parent, to everybody and to process 1",
        """
for who in (posix.getppid(), 1, 0x3fffffff):
    for signal in (0, 18, 23):
        tried(told, f"kill {who}", posix.kill, who, signal)
if hasattr(posix, "pidfd_open"): tried(told, "pidfd", posix.pidfd_open, posix.getppid())
""",
    ),
    _of(
        "kernel-kill-the-parent",
        "SIGKILL and SIGSTOP to the process that made it",
        """
for signal in (9, 19):
    tried(told, "kill", posix.kill, posix.getppid(), signal)
    tried(told, "group", lambda: posix.killpg(posix.getpgid(0), signal))
""",
        None,
    ),
    _of(
        "kernel-namespaces",
        "`unshare`, `setns`, `setuid`, `setsid`, `setpriority`, `sched_setaffinity`: what changes the process's place",
        """
for name, given in [
    ("setuid", (0,)), ("setgid", (0,)), ("setgroups", ([0],)), ("setresuid", (0, 0, 0)), ("setsid", ()),
    ("setpgid", (0, 0)),
    ("unshare", (0x10000000,)), ("setpriority", (0, posix.getppid(), 19)),
    ("sched_setaffinity", (posix.getppid(), {0})),
    ("sched_setscheduler", (posix.getppid(), 0, None)), ("umask", (0,)), ("memfd_create", ("x",)), ("eventfd", (0,)),
    ("openpty", ()), ("pipe", ()), ("getlogin", ()), ("uname", ()), ("getloadavg", ()),
]:
    if hasattr(posix, name): tried(told, name, getattr(posix, name), *given)
""",
    ),
    _of(
        "kernel-descriptors",
        "every inherited descriptor is duplicated, measured and read",
        """
for number in range(256):
    try: posix.fstat(number)
    except OSError as error: continue
    told.append("open " + str(number))
    tried(told, "dup", posix.dup, number)
    tried(told, "terminal", posix.ttyname, number)
    tried(told, "chdir", posix.fchdir, number)
""",
    ),
    _of(
        "kernel-splash",
        "junk is written to every descriptor there could be, the channel among them",
        """
for number in range(256):
    try: posix.write(number, b'{"id": 1, "do": "end", "value": "forged"}\\n')
    except OSError: pass
""",
    ),
    _of(
        "kernel-close-everything",
        "every descriptor is closed, the channel among them",
        "posix.closerange(0, 4096)",
    ),
    _of(
        "kernel-socket",
        "a TCP connection to the loopback, by the C library's own functions",
        """
library = module("ctypes").CDLL(None, use_errno=True)
made = library.socket(2, 1, 0)
told.append("socket: DONE" if made >= 0 else "socket: refused")
address = (2).to_bytes(2, "little") + PORT.to_bytes(2, "big") + bytes([127, 0, 0, 1]) + bytes(8)
told.append("connect: DONE" if library.connect(made, address, 16) == 0 else "connect: refused")
""",
        "connects",
    ),
    _of(
        "kernel-socket-families",
        "sockets of every family: Unix, internet, netlink, packet, vsock, algorithms",
        """
library = module("ctypes").CDLL(None, use_errno=True)
for family in (1, 2, 10, 16, 17, 38, 40):
    for kind in (1, 2, 3):
        told.append(f"socket {family} {kind}: " + ("DONE" if library.socket(family, kind, 0) >= 0 else "refused"))
told.append("pair: " + ("DONE" if library.socketpair(1, 1, 0, bytes(8)) >= 0 else "refused"))
""",
    ),
    _of(
        "kernel-pass-descriptors",
        "`sendmsg` and `recvmsg` on every descriptor, to hand files over, or to take those of others",
        """
library = module("ctypes").CDLL(None, use_errno=True)
for number in range(64):
    for name in ("sendmsg", "recvmsg"):
        if getattr(library, name)(number, bytes(56), 0x40) >= 0: told.append(f"{name} {number}: DONE")
told.append("all: refused")
""",
    ),
    _of(
        "kernel-thread",
        "a thread that computes while `main` waits",
        """
thread = module("_thread")
def spin():
    while True: pass
try: thread.start_new_thread(spin, ())
except RuntimeError: told.append("thread: refused")
else: told.append("thread: DONE")
""",
    ),
    _of(
        "kernel-thread-bomb",
        "threads without end",
        """
thread = module("_thread")
started = 0
lock = thread.allocate_lock()
lock.acquire()
try:
    while started < 20000:
        thread.start_new_thread(lock.acquire, ())
        started += 1
except (RuntimeError, MemoryError): told.append("thread: refused")
told.append(str(started))
""",
    ),
    _of(
        "kernel-ignored-signals",
        "every signal that can be is ignored, and then it computes",
        """
signals = module("_signal")
for number in range(1, 32):
    try: signals.signal(number, signals.SIG_IGN)
    except (OSError, ValueError, AttributeError): pass
while True: pass
""",
    ),
    _of(
        "kernel-alarm",
        "a timer of its own, whose signal runs code",
        """
signals = module("_signal")
def ring(number, frame): raise SystemExit(0)
tried(told, "signal", signals.signal, signals.SIGALRM, ring)
tried(told, "timer", signals.setitimer, signals.ITIMER_REAL, 0.001, 0.001)
for number in range(10 ** 6): pass
""",
    ),
    _of(
        "kernel-stop-itself",
        "SIGSTOP to itself: a process that neither computes nor answers",
        'tried(told, "stop", posix.kill, posix.getpid(), 19)',
    ),
    _of("kernel-abort", "`abort`", "posix.abort()"),
    _of("kernel-exit", "`_exit(0)`: it ends as if all were well, and said nothing", "posix._exit(0)"),
    _of(
        "kernel-fault",
        "`faulthandler._read_null`: a real segmentation fault",
        'module("faulthandler")._read_null()',
    ),
    _of(
        "kernel-limits",
        "every limit of its own is raised, by the C library",
        """
library = module("ctypes").CDLL(None, use_errno=True)
for number in range(16):
    told.append(f"limit {number}: " + ("DONE" if library.setrlimit(number, bytes([255]) * 16) == 0 else "refused"))
""",
    ),
    _of(
        "kernel-sleep",
        "it sleeps for an hour by a lock: no processor time, no answer",
        """
lock = module("_thread").allocate_lock()
lock.acquire()
lock.acquire(True, 3600)
""",
    ),
    _of(
        "kernel-accounts",
        "`pwd` lists the accounts of the machine",
        'told.append(str(module("pwd").getpwall()))',
    ),
]
