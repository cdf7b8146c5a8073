"""`pas` as a person runs it: with a home of its own, piped, or in a terminal that answers."""

import contextlib
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.servers.fetch import REPOSITORY

_CODES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[()][A-Z0-9]|\r")


@dataclass
class Person:
    """Somebody with an empty home; `environment` is what they have set."""

    home: Path
    environment: Mapping[str, str]

    def pas(self, *words: str, stdin: str | None = None, timeout: float = 60) -> "subprocess.CompletedProcess[str]":
        """Runs it to its end, everything piped; without `stdin` standard input is /dev/null."""
        given: dict[str, Any] = {"input": stdin} if stdin is not None else {"stdin": subprocess.DEVNULL}
        return subprocess.run(
            [sys.executable, "-m", "app", *words],
            env=self._environment(),
            cwd=self.home,
            capture_output=True,
            text=True,
            timeout=timeout,
            **given,
        )

    def started(self) -> dict[str, Any]:
        """Arguments of a Popen that runs beside others."""
        return {"env": self._environment(), "cwd": self.home, "stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}

    @contextlib.contextmanager
    def terminal(self, *words: str, width: int = 120) -> Iterator["Terminal"]:
        """Runs it in a pseudo-terminal; what is still running at the end is killed."""
        environment = {**self._environment(), "TERM": "xterm-256color", "COLUMNS": str(width), "LINES": "40"}
        pid, descriptor = pty.fork()
        if pid == 0:
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # ignored where tests run in the background
            os.chdir(self.home)
            os.execve(sys.executable, [sys.executable, "-m", "app", *words], environment)
        terminal = Terminal(pid, descriptor)
        try:
            yield terminal
        finally:
            terminal.close()

    def _environment(self) -> dict[str, str]:
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("JEAP_", "PAS_", "XDG_"))}
        return {
            **kept,
            "HOME": str(self.home),
            "PYTHONPATH": str(REPOSITORY),
            "PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring",
            **self.environment,
        }


class Terminal:
    """What a program in a terminal shows, and the keys that are pressed."""

    def __init__(self, pid: int, descriptor: int) -> None:
        self._pid = pid
        self._descriptor = descriptor
        self._code: int | None = None
        self.raw = ""

    @property
    def text(self) -> str:
        """All that it ever showed, without codes of the terminal."""
        return _CODES.sub("", self.raw)

    def wait_for(self, pattern: str, seconds: float = 60) -> "re.Match[str]":
        """Reads until the text has it behind what an earlier call found; fails with all that was shown."""
        end = time.monotonic() + seconds
        while not (found := re.search(pattern, self.text)):
            if time.monotonic() > end or not self._read():
                raise AssertionError(f"{pattern!r} was not shown:\n{self.text[-3000:]}")
        return found

    def forget(self) -> None:
        """What was shown so far is found no more."""
        self.raw = ""

    def press(self, keys: str) -> None:
        os.write(self._descriptor, keys.encode())

    def exit_code(self, seconds: float = 60) -> int:
        end = time.monotonic() + seconds
        while time.monotonic() < end and self._read():
            pass
        if self._code is None:
            self._code = os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])
        return self._code

    def close(self) -> None:
        if self._code is None:
            os.kill(self._pid, signal.SIGKILL)
            self._code = os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])
        os.close(self._descriptor)

    def _read(self) -> bool:
        """False once nothing can come any more."""
        if not select.select([self._descriptor], [], [], 0.2)[0]:
            return True
        try:
            piece = os.read(self._descriptor, 65536)
        except OSError:  # the program has ended
            return False
        self.raw += piece.decode("utf-8", "replace")
        return bool(piece)
