"""What pyproject.toml cannot say: the wheel carries files from the top of the repository, which `app.shipped` finds."""

from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

SHIPPED = ("alembic/**/*.py", "contracts/**/*", "config/*.yml")
"""Migrations, message contracts with the example schemas, and the example settings. Patterns from the top."""

INTO = Path("app", "_shipped")


class BuildWithShippedFiles(build_py):
    """Copies them into the package. An editable installation has none: there the files at the top are used."""

    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            for file in _shipped():
                target = Path(self.build_lib, INTO, file)
                self.mkpath(str(target.parent))
                self.copy_file(file, str(target), preserve_mode=False)

    def get_source_files(self) -> list[str]:
        """They belong to the source distribution."""
        return [*super().get_source_files(), *_shipped()]

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        shipped = [] if self.editable_mode else [str(Path(self.build_lib, INTO, file)) for file in _shipped()]
        return [*super().get_outputs(include_bytecode), *shipped]


def _shipped() -> list[str]:
    files = {file for pattern in SHIPPED for file in Path().glob(pattern) if file.is_file()}
    return sorted(map(str, files))


setup(cmdclass={"build_py": BuildWithShippedFiles})
