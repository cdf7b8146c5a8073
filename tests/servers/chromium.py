"""Chromium for tests of the page, as Debian has it, and axe, which finds what is in the way of people with a screen
reader."""

import hashlib
import shutil
from pathlib import Path

from tests.servers.fetch import apt_install, fetched, need, run

SOURCES = Path(__file__).resolve().parent / "browser"

INSTALLED = Path("/usr/bin/chromium")

ARGUMENTS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking", "--no-first-run"),
    *("--disable-component-update", "--disable-sync"),
)
"""Without them Chromium asks hosts of its maker as soon as it starts."""


def fetch() -> Path:
    """The browser; as root it is installed from Debian's packages where it is missing. Raises ServerUnavailable."""
    if not INSTALLED.exists():
        apt_install("chromium", "chromium")
    axe()
    return INSTALLED if INSTALLED.exists() else Path(need("chromium", "chromium"))


def axe() -> Path:
    """The script, exactly as the lock file says. Raises ServerUnavailable."""

    def install(half: Path) -> None:
        npm = need("npm", "npm")
        for name in ("package.json", "package-lock.json"):
            shutil.copy(SOURCES / name, half)
        run([npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"], cwd=half)

    lock = hashlib.sha256((SOURCES / "package-lock.json").read_bytes()).hexdigest()[:8]
    return fetched(f"axe-{lock}", install) / "node_modules" / "axe-core" / "axe.min.js"
