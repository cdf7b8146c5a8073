"""Imports point down and never sideways: the contracts of import-linter in pyproject.toml."""

import tomllib
from pathlib import Path

from importlinter import cli

ROOT = Path(__file__).resolve().parents[2]


def test_imports_point_down() -> None:
    assert cli.lint_imports(config_filename=str(ROOT / "pyproject.toml"), no_cache=True) == cli.EXIT_STATUS_SUCCESS


def test_every_package_has_its_place() -> None:
    linter = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    [layers] = [contract for contract in linter["contracts"] if contract["type"] == "layers"]
    assert layers["exhaustive"], "a new package must be given a layer"
