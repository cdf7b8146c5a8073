"""The two processes of the demonstration: started, found by the address they print, stopped in good order."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]

START = 60.0
"""Seconds that a process may take until it listens, and until it is ready."""

STOP = 30.0
"""Seconds from SIGTERM to SIGKILL; the service takes up to 25 by itself."""


class DemoFailed(Exception):
    """The demonstration did not go as it must; the message says what was found."""


@contextmanager
def running(
    name: str, arguments: Sequence[str], directory: Path, settings: Mapping[str, str] | None = None
) -> Iterator[str]:
    """A process of ours until the end of the block; yields the address that it says it listens on."""
    log = directory / f"{name}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=REPOSITORY,
            env=environment(settings or {}),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is for us; we stop it in good order
        )
    try:
        yield _address(name, process, log)
    finally:
        _stop(name, process)


def _address(name: str, process: "subprocess.Popen[bytes]", log: Path) -> str:
    deadline = time.monotonic() + START
    while time.monotonic() < deadline:
        found = re.search(r"^listening on (http://\S+)$", log.read_text(errors="replace"), re.MULTILINE)
        if found:
            return found[1]
        if process.poll() is not None:
            raise DemoFailed(f"the {name} ended with {process.returncode}\n{tail(log)}")
        time.sleep(0.05)
    raise DemoFailed(f"the {name} does not listen after {START:.0f} s\n{tail(log)}")


def _stop(name: str, process: "subprocess.Popen[bytes]") -> None:
    """SIGTERM, and SIGKILL where that takes too long; a second Ctrl-C does not keep it from ending."""
    before = [(number, signal.signal(number, signal.SIG_IGN)) for number in (signal.SIGINT, signal.SIGTERM)]
    try:
        process.terminate()
        code = process.wait(STOP)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        code = -signal.SIGKILL
    finally:
        for number, handler in before:
            signal.signal(number, handler)
    if code != 0 and sys.exc_info()[0] is None:
        raise DemoFailed(f"the {name} should stop in good order, it ended with {code}")


def environment(settings: Mapping[str, str]) -> dict[str, str]:
    """Ours without settings of another service that this shell may have."""
    foreign = ("JEAP_", "SERVER_", "PAS_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    return {**kept, "PAS_LOG_FORMAT": "text", **settings}


def tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-15:])
