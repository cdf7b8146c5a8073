"""Fetching servers into `.servers/`: once, atomically, safe when several processes do it at the same time."""

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
PINS = Path(__file__).resolve().parent / "pins"


class ServerUnavailable(RuntimeError):
    """A server cannot be had on this machine; the message says why."""


def servers_dir() -> Path:
    """Where servers and their logs live: `PAS_SERVERS_DIR`, by default `.servers/` of the checkout."""
    directory = Path(os.environ.get("PAS_SERVERS_DIR") or REPOSITORY / ".servers").resolve()
    directory.mkdir(parents=True, exist_ok=True)
    return directory


def fetched(name: str, fill: Callable[[Path], None]) -> Path:
    """The directory `name` under `.servers/`, made by `fill` when it is not there yet.

    `fill` writes into a directory beside it that is renamed when complete, so that a half one is never used.
    """
    target = servers_dir() / name
    if target.is_dir():
        return target
    with locked(name):
        if target.is_dir():
            return target
        half = Path(tempfile.mkdtemp(prefix=f".half-{name}-", dir=servers_dir()))
        try:
            half.chmod(0o755)  # PostgreSQL runs as another user
            fill(half)
            half.rename(target)
        finally:
            shutil.rmtree(half, ignore_errors=True)
    return target


@contextmanager
def locked(name: str) -> Iterator[None]:
    """Holds the lock file `name` against other processes and threads."""
    with (servers_dir() / f".lock-{name}").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def pip_install(target: Path, requirements: Path) -> None:
    """Installs pinned and hashed wheels into `target`, outside of the virtual environment."""
    pip = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--root-user-action=ignore",
    ]
    run(
        [*pip, "--no-deps", "--only-binary=:all:", "--require-hashes", "--target", str(target), "-r", str(requirements)]
    )


def need(program: str, *packages: str) -> str:
    """The path of `program`; as root it is installed from the given Debian packages when missing."""
    path = shutil.which(program)
    if path is None and packages:
        apt_install(program, *packages)
        path = shutil.which(program)
    if path is None:
        raise ServerUnavailable(f"{program} is missing; install {' '.join(packages) or program}")
    return path


def apt_install(what: str, *packages: str) -> None:
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise ServerUnavailable(f"{what} is missing; install {' '.join(packages)} (done by itself as root on Debian)")
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    with locked("apt"):
        run(["apt-get", "update", "-qq"], env=quiet)
        run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages], env=quiet)


def run(command: list[str], *, cwd: Path | None = None, env: dict[str, str] | None = None, timeout: float = 600) -> str:
    """Runs a command of the set-up and returns what it printed; raises ServerUnavailable with the end of it."""
    try:
        done = subprocess.run(
            command, cwd=cwd, env=env, timeout=timeout, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ServerUnavailable(f"{command[0]}: {error}") from error
    if done.returncode != 0:
        raise ServerUnavailable(f"{' '.join(command[:5])} … ended with {done.returncode}:\n{done.stdout[-2000:]}")
    return done.stdout
