"""A container as the sandbox, where there is an engine that works and an image to try it with.

Set ANTIPHON_TEST_IMAGE to podman:IMAGE or docker:IMAGE; the image needs sh, cat, ls, env and sleep.
"""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import anyio
import pytest

from antiphon.subagents.process import Completed, Unavailable, run_command
from antiphon.subagents.sandbox import Confinement, Container, Job, ProcessLimits, Refused, probe
from antiphon.subagents.sandbox.container import Engine

pytestmark = [pytest.mark.anyio, pytest.mark.real_time]
IMAGE = os.environ.get("ANTIPHON_TEST_IMAGE", "")


@pytest.fixture
def container() -> Container:
    if not IMAGE:
        pytest.skip("ANTIPHON_TEST_IMAGE names no image")
    tried = probe(IMAGE)
    if not isinstance(tried.sandbox, Container):
        pytest.skip(f"{IMAGE}: {tried.reason}")
    return tried.sandbox


async def sh(
    container: Container, script: str, *, timeout_seconds: float = 60, **granted: tuple[str, ...]
) -> Completed:
    confinement = Confinement(read=granted.get("read", ()), write=granted.get("write", ()))
    ended = await run_command(
        ["sh", "-c", script], sandbox=container, confinement=confinement, timeout_seconds=timeout_seconds
    )
    assert isinstance(ended, Completed), ended
    return ended


def left(container: Container) -> str:
    """The containers there are."""
    listing = [container.client, "ps", "--all", "--quiet", "--filter", f"name=antiphon-{os.getpid()}-"]
    return subprocess.run(listing, capture_output=True, text=True, check=True).stdout


async def test_it_reads_what_it_was_given_and_changes_nothing(container: Container, tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "code").write_text("given\n")
    (tmp_path / "secret").write_text("hunter2\n")
    script = f"cat {tmp_path}/tree/code; cat {tmp_path}/secret; echo x > {tmp_path}/tree/code; echo x > /new; true"
    ended = await sh(container, script, read=(str(tmp_path / "tree"),))
    assert ended.stdout == b"given\n"
    assert (tmp_path / "tree" / "code").read_text() == "given\n"


async def test_it_writes_only_where_it_may_and_not_into_git(container: Container, tmp_path: Path) -> None:
    (tmp_path / ".git").write_text("gitdir: /somewhere\n")
    script = f"echo x > {tmp_path}/file; echo x > {tmp_path}/.git; echo x > $HOME/file && cat $HOME/file"
    ended = await sh(container, script, write=(str(tmp_path),))
    assert (ended.exit, ended.stdout) == (0, b"x\n")
    assert (tmp_path / "file").read_text() == "x\n"
    assert (tmp_path / ".git").read_text() == "gitdir: /somewhere\n"


async def test_it_has_no_privilege_no_network_and_no_secret(
    container: Container, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN", "hunter2")
    ended = await sh(container, "cat /proc/self/status /proc/net/dev; env")
    said = ended.stdout.decode()
    for line in ("CapPrm:\t0000000000000000", "CapBnd:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2"):
        assert line in said
    assert "TOKEN" not in said
    assert "eth0" not in said


async def test_how_it_ended_is_told(container: Container) -> None:
    assert (await sh(container, "exit 7")).exit == 7
    assert (await sh(container, "kill -SEGV $$; sleep 5")).exit in (-signal.SIGSEGV, 0)  # pid 1 may be immune


async def test_status_127_of_the_program_itself_is_its_status(container: Container) -> None:
    assert (await sh(container, "echo no such thing >&2; exit 127")).exit == 127


async def test_a_program_that_the_image_lacks_is_unavailable(container: Container) -> None:
    ended = await run_command(["no-such-program"], sandbox=container)
    assert isinstance(ended, Unavailable)
    assert "no-such-program" in ended.reason


async def test_too_long_is_ended_and_removed(container: Container) -> None:
    ended = await sh(container, "sleep 600 & echo started; sleep 600", timeout_seconds=5)
    assert (ended.timed_out, ended.stdout) == (True, b"started\n")
    assert await anyio.to_thread.run_sync(left, container) == ""


PARENT = """
import sys, anyio
from antiphon.subagents.process import run_command
from antiphon.subagents.sandbox import Confinement, choose
name, folder, *argv = sys.argv[1:]
sandbox = choose(name)
async def main(): await run_command(argv, sandbox=sandbox, confinement=Confinement(write=(folder,)))
anyio.run(main)
"""


@pytest.mark.anyio
def test_it_is_removed_when_antiphon_is_killed(container: Container, tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    script = f"echo ready > {fifo}; sleep 600"
    command = [sys.executable, "-c", PARENT, IMAGE, str(tmp_path), "sh", "-c", script]
    with subprocess.Popen(command) as parent:
        assert fifo.read_text() == "ready\n"
        parent.kill()
    removed = [container.client, "wait", f"--condition={'removing' if container.engine == 'podman' else 'removed'}"]
    names = subprocess.run(
        [container.client, "ps", "--all", "--format={{.Names}}", f"--filter=name=antiphon-{parent.pid}-"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    for name in names:
        subprocess.run([*removed, name], capture_output=True, timeout=60, check=False)
    assert not [name for name in names if alive(container, name)]


def alive(container: Container, name: str) -> bool:
    state = subprocess.run(
        [container.client, "inspect", "--format={{.State.Running}}", name], capture_output=True, text=True, check=False
    )
    return state.stdout.strip() == "true"


# --- what needs no engine ---------------------------------------------------------------------------------------------


def arguments_of(confinement: Confinement, engine: Engine = "docker", *, limited: bool = True) -> list[str]:
    job = Job(
        program="tool",
        arguments=("--flag", "a b"),
        cwd="/tmp/antiphon-x",
        env={"PATH": "/host/bin", "HOME": "/tmp/antiphon-x", "TRACEPARENT": "00-1"},
        private="/tmp/antiphon-x",
        confinement=confinement,
        report=1,
        alive=2,
    )
    container = Container(engine=engine, client=f"/usr/bin/{engine}", image="image:1", limited=limited)
    return container.arguments(job, "label")


def test_the_engine_is_told_to_shut_everything() -> None:
    said = arguments_of(Confinement(limits=ProcessLimits(processes=9, memory_bytes=1000)))
    line = " ".join(said)
    for option in ("--network none", "--read-only", "--cap-drop ALL", "--security-opt no-new-privileges", "--rm"):
        assert option in line
    assert {"--pids-limit=9", "--memory=1000", "--pull", "never", "--env=TRACEPARENT=00-1"} <= set(said)
    assert "--env=PATH=/host/bin" not in said
    assert said[-4:] == ["--entrypoint=tool", "image:1", "--flag", "a b"]
    assert "--network" not in arguments_of(Confinement(network=True))


def test_without_cgroups_the_engine_is_not_asked_for_them() -> None:
    said = arguments_of(Confinement(), "podman", limited=False)
    assert "--cgroups=disabled" in said
    assert not [one for one in said if one.startswith(("--pids-limit", "--memory"))]


def test_files_are_read_only_and_named_as_on_the_host(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    path = str(tmp_path / "file")
    assert f"--mount=type=bind,src={path},dst={path},ro" in arguments_of(Confinement(read=(path,)))


@pytest.mark.parametrize("name", ["a,ro=false", 'a"b', "a\nb"])
def test_a_name_that_would_be_read_as_options_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("x")
    with pytest.raises(Refused, match="a comma, a quote or a new line"):
        arguments_of(Confinement(read=(str(tmp_path / name),)))


def test_an_engine_that_does_not_work_is_quoted() -> None:
    engine = next((one for one in ("docker", "podman") if shutil.which(one)), None)
    if engine is None:
        pytest.skip("neither docker nor podman is on PATH")
    tried = probe(f"{engine}:localhost/antiphon-has-no-such-image")
    assert not tried.usable
    assert "its sandbox did not start" in tried.reason
    assert engine in tried.advice
