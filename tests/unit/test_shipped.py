"""The files that come with the service are found at the top of a checkout, and in the package of a wheel."""

import sys
from pathlib import Path

from app import shipped


def test_a_checkout_has_them_at_its_top(tmp_path: Path) -> None:
    (package := tmp_path / "app").mkdir()
    assert shipped.files_of(package) == tmp_path
    assert Path(__file__).resolve().parents[2] == shipped.FILES


def test_a_wheel_has_them_in_the_package(tmp_path: Path) -> None:
    (tmp_path / "app" / "_shipped").mkdir(parents=True)
    (tmp_path / "alembic").mkdir()  # of somebody else: it is beside every installed package where migrations are used
    assert shipped.files_of(tmp_path / "app") == tmp_path / "app" / "_shipped"


def test_everything_that_is_read_is_there() -> None:
    for name in ("alembic/env.py", "contracts/messages/asyncapi.yaml", "config/application.yml"):
        assert (shipped.FILES / name).is_file()


def test_a_process_of_our_own_finds_the_same_package() -> None:
    assert Path(shipped.IMPORTED_FROM) / "app" == Path(sys.modules["app"].__path__[0]).resolve()
