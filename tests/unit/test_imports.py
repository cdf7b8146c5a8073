"""Imports point down and never sideways: the contracts of import-linter in pyproject.toml."""

import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_imports_point_down() -> None:
    # In a process of its own: import-linter switches off the loggers of everybody else.
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    linter = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert linter.returncode == 0, linter.stdout


def test_every_package_has_its_place() -> None:
    linter = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    layers = [contract for contract in linter["contracts"] if contract["type"] == "layers"]
    assert "app" in [container for contract in layers for container in contract["containers"]]
    assert all(contract["exhaustive"] for contract in layers), "a new package must be given a layer"
