"""Where the files are that come with the service and are no modules: migrations, contracts, example settings.

They are at the top of the repository. A wheel carries them inside the package (setup.py); an editable installation and
a checkout use those at the top.
"""

from pathlib import Path

PACKAGE = Path(__file__).resolve().parent

IMPORTED_FROM = str(PACKAGE.parent)
"""The directory that has the package `app`: PYTHONPATH of a process of our own, so that it finds the same code."""


def files_of(package: Path) -> Path:
    """The directory with `alembic/`, `contracts/` and `config/`, found from the package `app`."""
    carried = package / "_shipped"
    return carried if carried.is_dir() else package.parent


FILES = files_of(PACKAGE)
