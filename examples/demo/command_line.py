"""`pas` in the demonstration: run as a reader would type it, or asked for JSON to check what came of it."""

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from examples.demo.processes import REPOSITORY, DemoFailed, environment

LONGEST = 300.0
"""Seconds that one command may take; the demonstration takes a few in all."""


@dataclass(frozen=True)
class CommandLine:
    """The command line for one service; commands run in `directory`, where the files of the demonstration are."""

    url: str
    token: str
    directory: Path

    def show(self, *arguments: str, expect: int = 0) -> None:
        """Prints the command, and lets it print. Raises DemoFailed for another exit code."""
        print(f"\n$ pas {' '.join(map(_quoted, arguments))}", flush=True)
        code = self._run(arguments, None).returncode
        if code != expect:
            raise DemoFailed(f"pas {' '.join(arguments)} ended with {code}, not with {expect}")

    def ask(self, *arguments: str) -> Any:
        """What the command prints as JSON, without a word to the reader."""
        done = self._run((*arguments, "--output", "json"), subprocess.PIPE)
        if done.returncode != 0:
            raise DemoFailed(f"pas {' '.join(arguments)} ended with {done.returncode}: {done.stderr}")
        return json.loads(done.stdout)

    def _run(self, arguments: tuple[str, ...], output: int | None) -> "subprocess.CompletedProcess[str]":
        known: Mapping[str, str] = {"PAS_URL": self.url, "PAS_TOKEN": self.token}
        command = [sys.executable, "-m", "app", *arguments]
        settings = {**environment(known), "PYTHONPATH": str(REPOSITORY)}
        return subprocess.run(
            command, cwd=self.directory, env=settings, text=True, stdout=output, stderr=output, timeout=LONGEST
        )


def _quoted(argument: str) -> str:
    return f'"{argument}"' if any(sign in argument for sign in " =<>~") else argument


def dev_token(data_dir: Path) -> str:
    """What `pas dev-token` prints."""
    command = [sys.executable, "-m", "app", "dev-token", "--data-dir", str(data_dir), "--name", "Demo"]
    done = subprocess.run(command, cwd=REPOSITORY, text=True, capture_output=True, env=environment({}))
    if done.returncode != 0:
        raise DemoFailed(f"no token: {done.stderr}")
    return done.stdout.strip()
