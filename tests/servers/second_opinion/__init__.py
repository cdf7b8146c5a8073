"""What other software says of our trees and notes: Go's modules of transparency-dev and of its checksum database."""

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.servers.fetch import fetched, need, run

SOURCES = Path(__file__).parent

BUILD = 600.0


def fetch() -> Path:
    """The program, built once. Raises ServerUnavailable where Go or its modules cannot be had."""
    go = need("go")
    names = ("main.go", "go.mod", "go.sum")
    version = hashlib.sha256(b"".join((SOURCES / name).read_bytes() for name in names)).hexdigest()[:12]

    def build(half: Path) -> None:
        for name in names:
            shutil.copy(SOURCES / name, half)
        run([go, "build", "-o", "second-opinion", "."], cwd=half, env={**os.environ, "GOWORK": "off"}, timeout=BUILD)

    return fetched(f"second-opinion-{version}", build) / "second-opinion"


def opinions(program: Path, questions: Sequence[dict[str, Any]]) -> list[str]:
    """`ok` or a reason for each question."""
    asked = "".join(f"{json.dumps(each)}\n" for each in questions)
    done = subprocess.run([program], input=asked, capture_output=True, text=True, check=True, timeout=120)
    return done.stdout.splitlines()
