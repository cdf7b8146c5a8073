"""The service as a wheel in an environment of its own, which has the locked dependencies and nothing else."""

import os
import re
import shutil
import subprocess
import sys
import tarfile
import venv
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from typing_extensions import override

from tests.servers.fetch import REPOSITORY
from tests.support.service import Service

BUILD_ONLY = {"setuptools"}
"""In the lock too, as the service is built with it; what is installed must do without."""


def copied_for_docker(directory: Path) -> Path:
    """Copies into `directory` what `docker build` gets of the checkout: nothing that an earlier build left there."""
    for line in (REPOSITORY / ".dockerignore").read_text().splitlines():
        if line.startswith("!"):
            path = REPOSITORY / line[1:]
            if path.is_dir():
                shutil.copytree(path, directory / path.name, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
            else:
                shutil.copy(path, directory)
    return directory


def sdist(tree: Path, into: Path) -> Path:
    """Builds the source distribution of `tree` and unpacks it in `into`; the tree that it has."""
    code = f"from setuptools.build_meta import build_sdist; build_sdist({str(into)!r})"
    run(sys.executable, "-c", code, cwd=tree)
    (archive,) = into.glob("*.tar.gz")
    with tarfile.open(archive) as opened:
        opened.extractall(into, filter="data")
    return into / archive.name.removesuffix(".tar.gz")


def wheel(tree: Path, into: Path) -> Path:
    """Builds the wheel of `tree` with the locked setuptools; its file."""
    pip("wheel", "--no-deps", "--no-index", "--no-build-isolation", "--wheel-dir", into, tree)
    (file,) = into.glob("*.whl")
    return file


def editable(tree: Path, into: Path) -> Path:
    """Builds the wheel that `pip install --editable` installs, which leads to `tree`; its file."""
    run(
        sys.executable,
        "-c",
        f"from setuptools.build_meta import build_editable; build_editable({str(into)!r})",
        cwd=tree,
    )
    (file,) = into.glob("*.whl")
    return file


class Environment:
    """A virtual environment in `directory` that finds what requirements.lock names, and none of the tools around it.

    The packages are those that `make setup` installed with their hashes; links lead to them, nothing is downloaded
    again. What the service needs and the lock does not name is missing here, as it would be for a user.
    """

    def __init__(self, directory: Path) -> None:
        venv.create(directory / "env", with_pip=False)
        self.python = directory / "env" / "bin" / "python"
        self.pas = directory / "env" / "bin" / "pas"
        (self.site,) = (directory / "env").glob("lib/python*/site-packages")
        packages = directory / "packages"
        packages.mkdir()
        for name in re.findall(r"^([\w.-]+)==", (REPOSITORY / "requirements.lock").read_text(), re.MULTILINE):
            if name not in BUILD_ONLY:
                _link(name, packages)
        (self.site / "locked.pth").write_text(f"{packages}\n")

    def run_pas(self, *arguments: str | Path, cwd: Path) -> str:
        """Runs a command of the installed command line to its end, which must be a good one; what it prints."""
        return run(self.pas, *arguments, cwd=cwd)


class Installed(Service):
    """`pas serve --embedded` of an environment, run in a directory of its own."""

    def __init__(self, environment: Environment, data_dir: Path, settings: Mapping[str, str] | None = None) -> None:
        @cache
        def token() -> str:
            return environment.run_pas("dev-token", "--data-dir", data_dir, cwd=data_dir).strip()

        super().__init__(["--embedded", "--data-dir", str(data_dir)], token, settings, forked=False)
        self._pas = str(environment.pas)

    @override
    def command(self) -> list[str]:
        return [self._pas, *super().command()[3:]]  # in the place of `python -m app`

    @override
    def environment(self) -> dict[str, str]:
        return {**super().environment(), "PYTHONPATH": ""}


def pip(*arguments: str | Path, python: Path | None = None) -> None:
    """The pip of the development environment, on another one where `python` says so."""
    where: list[str | Path] = ["--python", python] if python else []
    run(sys.executable, "-m", "pip", "--disable-pip-version-check", *where, *arguments, cwd=Path("/"))


def run(*command: str | Path, cwd: Path) -> str:
    """What a program prints that must end well; no variable of ours leads it to the checkout."""
    ours = ("JEAP_", "PAS_", "SERVER_", "PYTHON")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    done = subprocess.run(command, cwd=cwd, env=environment, text=True, capture_output=True, timeout=120)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def _link(name: str, packages: Path) -> None:
    """Links the modules and the metadata of an installed distribution."""
    try:
        found = distribution(name)
    except PackageNotFoundError:
        return  # locked for another platform
    for top in {file.parts[0] for file in found.files or ()} - {"..", "__pycache__"}:
        if not (packages / top).exists():  # two share a namespace: opentelemetry, google
            (packages / top).symlink_to(Path(str(found.locate_file(top))))
