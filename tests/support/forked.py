"""Processes of the service that are forked by `fork_server`, for tests that start them often."""

import atexit
import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from tests.servers.fetch import REPOSITORY
from tests.servers.host import bound_to_us, run_dir
from tests.support.fork_server import Request

SETTINGS = ("JEAP_", "PAS_", "SERVER_")
"""Beginnings of the variables that the service reads when it serves."""


def _apart_from_settings(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if not name.startswith(("PYTEST_", *SETTINGS))}


ORDINARY = _apart_from_settings({**os.environ, "PYTHONPATH": str(REPOSITORY)})
"""What the fork server is started with, whichever test is the first to need it."""


class Forked:
    """A forked process, as `subprocess.Popen` shows one."""

    def __init__(self, arguments: Sequence[str], control: socket.socket) -> None:
        self.args = arguments
        self.returncode: int | None = None
        self._control = control
        self._lines = control.makefile("rb")
        line = self._lines.readline()
        if not line:
            raise RuntimeError(f"the fork server has ended: {run_dir()}/fork-server.log")
        self.pid = int(line)

    def poll(self) -> int | None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None:
            ready, _, _ = select.select([self._control], [], [], timeout)
            if not ready:
                raise subprocess.TimeoutExpired(self.args, timeout or 0)
            self.returncode = int(self._lines.readline())
            self._lines.close()
            self._control.close()
        return self.returncode

    def send_signal(self, sig: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, sig)


class ForkServer:
    """Started with the first process that is forked, and there until the tests have ended.

    The thread that makes it has to live as long: the server dies with it.
    """

    def __init__(self) -> None:
        self._requests, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs, (run_dir() / "fork-server.log").open("ab") as log:
            program = [sys.executable, "-m", "tests.support.fork_server", str(theirs.fileno())]
            self._process = subprocess.Popen(
                [*bound_to_us(signal.SIGKILL, None), *program],
                cwd=REPOSITORY,
                env=ORDINARY,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def fork(self, request: Request, log: IO[bytes]) -> Forked:
        ours, theirs = socket.socketpair()
        with theirs:
            socket.send_fds(self._requests, [json.dumps(request).encode()], [log.fileno(), theirs.fileno()])
        return Forked(["pas", *request["arguments"]], ours)

    def close(self) -> None:
        self._requests.close()
        self._process.wait(10)


def fork(
    arguments: Sequence[str],
    directory: Path,
    log: IO[bytes],
    environment: Mapping[str, str],
    constants: Mapping[str, float],
) -> Forked | None:
    """`pas` with these arguments; None where it has to be started instead, with its own `constants`.

    Libraries read some variables when they are imported: a process with other variables than the fork server is
    started, unless they are settings of the service.
    """
    if not hasattr(os, "pidfd_open"):  # Linux has it
        return None
    if _apart_from_settings(environment) != ORDINARY:
        return None
    settings = {name: value for name, value in environment.items() if name.startswith(SETTINGS)}
    server = _servers[0] if _servers else _first()
    request: Request = {
        "arguments": [*arguments],
        "directory": str(directory),
        "settings": settings,
        "constants": dict(constants),
    }
    return server.fork(request, log)


_servers: list[ForkServer] = []


def _first() -> ForkServer:
    server = ForkServer()
    _servers.append(server)
    atexit.register(server.close)
    return server
