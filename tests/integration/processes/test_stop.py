"""`pas serve` that is asked to stop before it listens: while it loads, and while it waits for what is away."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.servers.fetch import REPOSITORY

CAUGHT = "SigCgt:"
STOPS = [signal.SIGTERM, signal.SIGINT]


@contextmanager
def started(*more: str) -> Iterator["subprocess.Popen[str]"]:
    """With the example settings and a broker that is away."""
    command = [sys.executable, "-m", "app", "serve", "--config", "config/application.yml", "--port", "0", *more]
    environment = {**os.environ, "JEAP_MESSAGING_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=REPOSITORY, env=environment, stdout=pipe, stderr=pipe, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def catches(process: "subprocess.Popen[str]", number: signal.Signals) -> bool:
    lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    caught = next(int(line.removeprefix(CAUGHT), 16) for line in lines if line.startswith(CAUGHT))
    return bool(caught >> (number - 1) & 1)


@pytest.mark.parametrize("more", [(), ("--processes", "2")], ids=["one", "two"])
def test_a_signal_while_it_loads_ends_it_well(more: Sequence[str]) -> None:
    with started(*more) as process:
        while not catches(process, signal.SIGTERM):
            assert process.poll() is None
            time.sleep(0.005)
        process.send_signal(signal.SIGTERM)
        said, log = process.communicate(timeout=60)
    assert (process.returncode, said) == (0, ""), log
    assert "Traceback" not in log


@pytest.mark.parametrize("number", STOPS)
def test_a_signal_while_it_waits_for_a_broker_ends_the_start_well(number: signal.Signals) -> None:
    with started() as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "no Kafka broker" in line:
                break
        process.send_signal(number)
        said, log = process.communicate(timeout=60)
    assert (process.returncode, said) == (0, ""), log
    assert f"{number.name}: stopping" in log
    assert "Traceback" not in log
