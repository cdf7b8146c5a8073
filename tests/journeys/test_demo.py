"""`make demo`: a job from PUT to report with nothing beside it, and nothing left running afterwards."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from examples.demo import processes
from tests.servers.fetch import REPOSITORY

DEMO = [sys.executable, "-m", "examples.demo"]


def remaining(directory: str) -> list[str]:
    """Command lines of processes that work on the directory."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        if directory in command:
            found.append(command)
    return found


def test_demo_archives_everything_and_stops() -> None:
    done = subprocess.run(DEMO, cwd=REPOSITORY, text=True, capture_output=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "succeeded in part: 132 archived; 2 failed: 2 × Failed reading artifact from source" in done.stdout
    assert "succeeded: 3 archived.\n" in done.stdout
    assert "job-result: partially-succeeded\n" in done.stdout
    assert "2  Failed reading artifact from source service: HTTP 404 " in done.stdout
    assert len(done.stdout.splitlines()) < 145
    [artifacts] = re.findall(r"^artifacts: (\S+)/objects/ \(136 ", done.stdout, re.MULTILINE)
    assert re.search(r"^events: +\S+/topics/\*created\.jsonl \(136\)$", done.stdout, re.MULTILINE)
    assert re.search(r"^ +\d+ +AdvisoryNotedEvent +PSF-2026-1 ", done.stdout, re.MULTILINE)
    assert (REPOSITORY / artifacts / "objects").is_dir()
    assert re.search(r"OsvRecordPublishedEvent +summary +automatic +completed +132/132 +0 ", done.stdout)
    assert len(re.findall(r"^ +\d+ +OsvRecordPublishedEvent +PSF-.*DoS", done.stdout, re.MULTILINE)) == 3
    assert not remaining(Path(artifacts).name)
    shutil.rmtree(REPOSITORY / artifacts)


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for processes in /proc")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
def test_demo_that_is_interrupted_leaves_nothing_running(number: signal.Signals) -> None:
    with subprocess.Popen(
        DEMO,
        cwd=REPOSITORY,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # ignored where tests run in the background
    ) as demo:
        assert demo.stdout is not None
        while not demo.stdout.readline().startswith("$ pas backfill send"):
            assert demo.poll() is None
        os.killpg(demo.pid, number)
        _, errors = demo.communicate(timeout=60)
    assert demo.returncode == 130, errors
    [directory] = re.findall(r"logs and data: (\S+)", errors)
    assert not remaining(Path(directory).name)
    shutil.rmtree(REPOSITORY / directory)


def test_demo_says_why_the_service_does_not_start(tmp_path: Path) -> None:
    with (
        pytest.raises(processes.DemoFailed, match=r"the service ended with 1\n(?s:.*)no-such-file"),
        processes.running("service", ["-m", "app", "serve", "--config", "no-such-file.yml"], tmp_path),
    ):
        time.sleep(0)  # never comes here
