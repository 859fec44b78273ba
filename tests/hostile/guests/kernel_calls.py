"""System calls that Python has no function for, by the C library."""

from tests.hostile.guests.kernel import in_hand as _of

KERNEL_CALLS = [
    _of(
        "kernel-calls-by-name",
        "the C library for what Python has no function for: ptrace, prctl, mount, unshare, process_vm_readv, ...",
        """
library = module("ctypes").CDLL(None, use_errno=True)
parent = posix.getppid()
for name, given in [
    ("ptrace", (16, parent, 0, 0)), ("ptrace", (0, 0, 0, 0)), ("prctl", (38, 0, 0, 0, 0)), ("prctl", (4, 1, 0, 0, 0)),
    ("mount", (0, 0, 0, 0, 0)), ("unshare", (0x10000000,)), ("process_vm_readv", (parent, 0, 0, 0, 0, 0)),
    ("personality", (0x40000,)), ("memfd_create", (b"x", 0)), ("setns", (0, 0)), ("inotify_init", ()),
    ("fanotify_init", (0, 0)),
    ("epoll_create", (1,)), ("signalfd", (-1, bytes(128), 0)), ("timerfd_create", (0, 0)),
    ("shmget", (0, 4096, 0o1777)),
    ("msgget", (0, 0o1777)), ("semget", (0, 1, 0o1777)), ("swapoff", (b"/",)), ("reboot", (0,)),
    ("sethostname", (b"x", 1)),
    ("acct", (0,)), ("klogctl", (3, bytes(100), 100)), ("vhangup", ()), ("iopl", (3,)), ("fork", ()), ("vfork", ()),
]:
    call = getattr(library, name, None)
    if call is not None: told.append(name + (": DONE" if call(*given) >= 0 else ": refused"))
""",
    ),
    _of(
        "kernel-calls-by-number",
        "raw system calls: seccomp, bpf, io_uring, keyctl, userfaultfd, perf_event_open, pidfd_getfd, clone3, execveat",
        """
sys, ctypes = module("enum").sys, module("ctypes")
library = ctypes.CDLL(None, use_errno=True)
here = 0 if "x86_64" in sys.implementation._multiarch else 1
for name, numbers, given in [
    ("seccomp", (317, 277), (1, 0, 0)), ("bpf", (321, 280), (0, 0, 0)), ("io_uring_setup", (425, 425), (8, 0)),
    ("keyctl", (250, 219), (0, -3, 1)), ("userfaultfd", (323, 282), (0,)),
    ("perf_event_open", (298, 241), (0, 0, 0, 0, 0)),
    ("pidfd_open", (434, 434), (1, 0)), ("pidfd_getfd", (438, 438), (0, 0, 0)), ("clone3", (435, 435), (0, 0)),
    ("execveat", (322, 281), (-100, b"/bin/true", 0, 0, 0)), ("openat2", (437, 437), (-100, b"/", 0, 0)),
    ("landlock_create_ruleset", (444, 444), (0, 0, 1)), ("process_madvise", (440, 440), (0, 0, 0, 0, 0)),
    ("kcmp", (312, 272), (1, 1, 0, 0, 0)), ("open_by_handle_at", (304, 265), (0, 0, 0)),
    ("quotactl_fd", (443, 443), (0, 0, 0, 0)),
    ("mount_setattr", (442, 442), (0, 0, 0, 0, 0)), ("fsopen", (430, 430), (b"tmpfs", 0)),
    ("tgkill", (234, 131), (1, 1, 0)),
]:
    told.append(name + (": DONE" if library.syscall(numbers[here], *given) >= 0 else ": refused"))
""",
    ),
    _of(
        "kernel-executable-memory",
        "memory that can be written and executed",
        """
ctypes = module("ctypes")
library = ctypes.CDLL(None, use_errno=True)
library.mmap.restype = ctypes.c_ssize_t
told.append("mmap: " + ("refused" if library.mmap(0, 4096, 7, 0x22, -1, 0) == -1 else "DONE"))
there = library.mmap(0, 4096, 3, 0x22, -1, 0)
told.append("mprotect: " + ("refused" if library.mprotect(ctypes.c_ssize_t(there), 4096, 7) == -1 else "DONE"))
""",
    ),
    _of(
        "kernel-write-memory",
        "`ctypes` writes into the interpreter's own memory until it falls",
        'module("ctypes").memset(0, 1, 4096)',
    ),
    _of(
        "kernel-32-bit-calls",
        "the other table of system calls of the machine: `int 0x80` and the x32 numbers",
        """
library = module("ctypes").CDLL(None, use_errno=True)
told.append("x32: " + ("DONE" if library.syscall(0x40000000 + 2, CANARY.encode(), 0) >= 0 else "refused"))
""",
    ),
]
