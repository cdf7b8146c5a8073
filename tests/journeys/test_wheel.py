"""The wheel, installed away from the checkout beside the locked dependencies only, archives in the embedded mode."""

import zipfile
from pathlib import Path
from uuid import uuid4

import pytest

from tests.servers.source import Source
from tests.support.archive_types import OSV, submission, unversioned, write_archive_types
from tests.support.effects import assert_all_succeeded
from tests.support.installed import Environment, Installed, copied_for_docker, editable, pip, run, sdist, wheel

LARGE = 64 * 1024
"""Bytes of a submission from which it is read in a process of its own, which must find the package too."""


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copied_for_docker(tmp_path_factory.mktemp("tree"))


@pytest.fixture(scope="module")
def unpacked(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sdist(tree, tmp_path_factory.mktemp("sdist"))


@pytest.fixture(scope="module")
def built(unpacked: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return wheel(unpacked, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def installed(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    environment = Environment(tmp_path_factory.mktemp("away"))
    pip("install", "--no-deps", "--no-index", built, python=environment.python)
    return environment


def test_the_installed_command_line_says_its_version(installed: Environment, tmp_path: Path) -> None:
    assert installed.run_pas("--version", cwd=tmp_path).startswith("pas 0.")
    where = run(installed.python, "-c", "import app; print(app.__path__[0])", cwd=tmp_path)
    assert where.strip() == str(installed.site / "app"), "it would be the checkout that is tested"


def test_the_example_that_is_installed_passes_check_config(installed: Environment, tmp_path: Path) -> None:
    (example,) = installed.site.rglob("application.yml")
    shipped = example.parents[1]
    assert installed.run_pas("check-config", "--config", example, cwd=tmp_path).splitlines() == [
        "the settings are valid",
        f"archive types: {shipped}/config/archive-types.yml (2)",
        f"schemas: {shipped}/contracts/archive-types (2)",
    ]


def test_it_serves_without_any_settings_and_then_archives_a_job(installed: Environment, tmp_path: Path) -> None:
    (data_dir := tmp_path / "data").mkdir()
    with Installed(installed, data_dir) as service:
        answer = service.put(uuid4(), submission(OSV._replace(topic="wrong"), unversioned("A")))
        assert answer.status_code == 400, "the archive types that are shipped are known, and no others"
        assert service.ready()[0] == 200
    with Source() as source:
        types = write_archive_types(tmp_path, source.url, oauth=False)["jeap.processarchive.configuration.location"]
        with Installed(installed, data_dir, {"JEAP_PROCESSARCHIVE_CONFIGURATION_LOCATION": types}) as service:
            job_id = uuid4()
            body = submission(OSV, unversioned("A"))
            assert service.put(job_id, body + b"#" * LARGE).status_code == 200
            assert_all_succeeded(service.wait_completed(job_id), ["A"])
    assert [*(data_dir / "objects" / "archive" / "PSF").rglob("*.json")]


def test_an_editable_installation_uses_the_files_of_the_checkout(tree: Path, tmp_path: Path) -> None:
    environment = Environment(tmp_path)
    pip("install", "--no-deps", "--no-index", editable(tree, tmp_path), python=environment.python)
    assert environment.run_pas("--version", cwd=tmp_path).startswith("pas 0.")
    where = run(environment.python, "-c", "from app.db.migrations import LOCATION; print(LOCATION)", cwd=tmp_path)
    assert where.strip() == str(tree / "alembic")


def test_the_wheel_of_the_checkout_is_that_of_its_source_distribution(tree: Path, built: Path, tmp_path: Path) -> None:
    assert names(wheel(tree, tmp_path)) == names(built)


def test_the_wheel_has_what_the_service_reads_and_nothing_of_the_tests(tree: Path, built: Path) -> None:
    found = {name.removeprefix("app/") for name in names(built) if name.startswith("app/")}
    app = tree / "app"
    kinds = ("py", "typed", "html", "css", "js", "svg")
    modules = {str(path.relative_to(app)) for suffix in kinds for path in app.rglob(f"*.{suffix}")}
    shipped = {
        f"_shipped/{path.relative_to(tree)}"
        for pattern in ("alembic/**/*.py", "contracts/**/*", "config/*.yml")
        for path in tree.glob(pattern)
        if path.is_file()
    }
    assert found == modules | shipped
    others = {name.split("/")[0] for name in names(built)} - {"app"}
    assert [name.partition("-")[0] for name in others] == ["process_archive_service"]
    assert {name.rpartition("/")[2] for name in names(built)} > {"LICENSE", "NOTICE", "py.typed"}


def names(built: Path) -> set[str]:
    with zipfile.ZipFile(built) as opened:
        return set(opened.namelist())
