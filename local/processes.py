"""Child processes that never outlive the process that started them."""

import contextlib
import ctypes
import os
import pwd
import random
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import psutil

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
# Below Linux's ephemeral range (32768 and up), so that no outgoing connection borrows a port between two runs.
_PORTS = range(20000, 32000)

# All that the engines, the emulator, so every deployed function, and the app get to see of the environment of whoever
# runs this: `nobody`, as whom databases run for root, could read cloud credentials there.
_INHERITED = ("LANG", "LC_ALL", "LD_LIBRARY_PATH", "PATH", "TZ")


def inherited_environment() -> dict[str, str]:
    """The variables of this process that its children may see."""
    return {name: os.environ[name] for name in _INHERITED if name in os.environ}


def free_port() -> int:
    """A loopback port that nothing listens on right now."""
    for port in random.sample(_PORTS, k=100):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise OSError("no free loopback port found between 20000 and 32000")


def _die_with_parent(death_signal: signal.Signals) -> Callable[[], None] | None:
    """What the child does between fork and exec; only Linux has it, elsewhere the next run clears up what is left."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    parent = os.getpid()

    def set_death_signal() -> None:
        prctl(_PR_SET_PDEATHSIG, int(death_signal))
        if os.getppid() != parent:
            os._exit(1)

    return set_death_signal


def spawn(
    command: Sequence[str | Path],
    *,
    log_file: Path,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    user: str | None = None,
    death_signal: signal.Signals = signal.SIGTERM,
    pass_fds: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Starts a program in a session of its own, so that Ctrl-C in the terminal reaches only its parent.

    Output is appended to `log_file`. Without `env` it gets `inherited_environment`. Others cannot read the files that
    it makes. `user` needs root; when omitted the program runs as the caller.
    `death_signal` is sent to it when the starting thread ends without having stopped it (Linux only).
    """
    log_file.parent.mkdir(parents=True, exist_ok=True)
    with log_file.open("ab") as log:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=dict(env) if env is not None else inherited_environment(),
            cwd=cwd,
            user=user,
            group=pwd.getpwnam(user).pw_gid if user else None,
            extra_groups=[] if user else None,
            pass_fds=pass_fds,
            umask=0o077,
            start_new_session=True,
            preexec_fn=_die_with_parent(death_signal),
        )


def adopt_orphans() -> None:
    """Makes descendants whose parent dies children of this process, so that `stop_descendants` finds them (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)


def stop_descendants(process: psutil.Process) -> None:
    """Kills whatever is left below the process."""
    _kill(process.children(recursive=True))


def stop(process: subprocess.Popen[bytes], *, how: signal.Signals = signal.SIGTERM) -> None:
    """Asks the process to end, waits 10 s, and kills whatever is left of it and its descendants."""
    try:
        family = psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        family = []
    if process.poll() is None:
        process.send_signal(how)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
    process.wait()
    _, alive = psutil.wait_procs(family, timeout=1)
    _kill(alive)


def _kill(processes: Sequence[psutil.Process]) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(processes, timeout=5)
