"""What a server needs of this machine: directories that are cleaned up, and children that end when we end."""

import contextlib
import os
import shutil
import signal
import tempfile
import time
from pathlib import Path

from tests.servers.fetch import servers_dir


def run_dir() -> Path:
    """Where the servers of this process log: `.servers/run/<pid>/`."""
    directory = servers_dir() / "run" / str(os.getpid())
    if not directory.exists():
        remove_leftovers()
        directory.mkdir(parents=True, exist_ok=True)
    return directory


def new_data_dir(name: str) -> Path:
    data = Path(tempfile.mkdtemp(prefix=f"pas-servers-{os.getpid()}-{name}-"))
    data.chmod(0o755)
    return data


def remove_leftovers() -> None:
    """Removes data of processes that were killed, and logs of ended ones older than a day."""
    for data in Path(tempfile.gettempdir()).glob("pas-servers-*-*"):
        owner = data.name.split("-")[2]
        if owner.isdigit() and not alive(int(owner)):
            shutil.rmtree(data, ignore_errors=True)
    for logs in (servers_dir() / "run").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if not alive(int(logs.name)) and logs.stat().st_mtime < time.time() - 86400:
                shutil.rmtree(logs, ignore_errors=True)


def bound_to_us(death: signal.Signals, user: str | None) -> list[str]:
    """What to put before a command so that it runs as `user` and gets the signal `death` when we die (Linux)."""
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        return ["su", "-s", "/bin/sh", user, "-c", 'exec "$0" "$@"', "--"] if user else []
    account = [f"--reuid={user}", f"--regid={user}", "--clear-groups"] if user else []
    return [setpriv, f"--pdeathsig={death.name.removeprefix('SIG')}", *account, "--"]


def children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def alive(pid: int) -> bool:
    """Whether a process runs; one that ended and waits to be noticed by its parent does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except OSError:
        return False
