"""HOWTO.txt of an evidence package is followed in a shell."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from app.cli import howto, package
from app.domain.merkle import leaf_hash
from tests.support.packages import packed
from tests.unit.cli.test_evidence import KEY, OTHER, file, members

__all__ = ["file", "members"]

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")


def test_the_howto_is_followed_to_the_letter_in_a_shell(file: Path, tmp_path: Path) -> None:
    done = followed(file, tmp_path / "right")
    assert done.returncode == 0, done.stderr
    digest = re.findall(r"^([0-9a-f]{64})  -$", done.stdout, re.MULTILINE)
    assert f"sha256 {digest[0]}" in done.stdout
    assert "Signature Verified Successfully" in done.stdout
    assert "the leaves are those that were signed" in done.stdout
    first = (tmp_path / "right" / package.LEAVES).read_bytes().splitlines()[0]
    assert digest[1] == leaf_hash(first).hex()
    assert re.findall(r"^(ok|WRONG) .*\"what\":\"([a-z.]+)\"", done.stdout, re.MULTILINE) == [
        ("ok", "job.submitted"),
        ("ok", "job.completed"),
        ("ok", "job.proven"),
    ]


def test_the_howto_takes_the_key_that_signed_where_that_is_one_of_the_past(
    members: dict[str, bytes], tmp_path: Path
) -> None:
    keys = f"{OTHER.verifier}\n{KEY}\n".encode()
    done = followed(packed(tmp_path / "rotated.zip", {**members, package.KEYS: keys}), tmp_path / "rotated")
    assert "Signature Verified Successfully" in done.stdout, done.stderr


@pytest.mark.parametrize("name", [package.CHECKPOINT, package.LEAVES])
def test_the_howto_finds_what_was_changed(members: dict[str, bytes], tmp_path: Path, name: str) -> None:
    changed = members[name].replace(b"succeeded", b"succeedex", 1)
    done = followed(packed(tmp_path / "changed.zip", {**members, name: changed}), tmp_path / "wrong")
    good = ("Signature Verified Successfully" in done.stdout, "the leaves are those that were signed" in done.stdout)
    assert good == (name != package.CHECKPOINT, name != package.LEAVES)


def followed(file: Path, directory: Path) -> "subprocess.CompletedProcess[str]":
    """All commands of HOWTO.txt, which stand four blanks to the right, in a shell."""
    directory.mkdir()
    shutil.copy(file, directory / "package.zip")
    steps = howto.TEXT.partition("\n1. ")[2]
    commands = re.findall(r"^    python3 -m zipfile.*$", howto.TEXT, re.MULTILINE)
    commands += [line[4:] for line in steps.splitlines() if line.startswith("    ")]
    script = "\n".join(line.removeprefix("    ") if line.startswith("    python3") else line for line in commands)
    return subprocess.run(["sh"], input=script, capture_output=True, text=True, cwd=directory, timeout=60)
