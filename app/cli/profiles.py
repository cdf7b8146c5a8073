"""Profiles: named services in `config.toml`, so that nobody types addresses."""

import os
import tomllib
from dataclasses import dataclass
from pathlib import Path

from app.cli.exits import Ended, wrong_usage

DEFAULT = "default"
"""The profile that is taken without `--profile`, where there is one of this name."""

_KEYS = ("url", "issuer", "client_id")


@dataclass(frozen=True, slots=True)
class Profile:
    url: str | None = None
    issuer: str | None = None
    client_id: str | None = None


def directory() -> Path:
    """Where settings and logins of the person lie: `$XDG_CONFIG_HOME/pas`, else `~/.config/pas`."""
    given = os.environ.get("XDG_CONFIG_HOME")
    return (Path(given) if given else Path("~/.config").expanduser()) / "pas"


def read_profile(name: str | None) -> Profile:
    """The profile; without a name the default one, or an empty one. Raises Ended."""
    path = directory() / "config.toml"
    try:
        with path.open("rb") as file:
            profiles = tomllib.load(file).get("profiles", {})
    except FileNotFoundError:
        profiles = {}
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Ended(f"{path} cannot be read: {error}") from error
    if not isinstance(profiles, dict):
        raise Ended(f"{path}: profiles are tables like [profiles.test]")
    if name is None:
        name = DEFAULT
        if name not in profiles:
            return Profile()
    elif name not in profiles:
        there = f"there are {', '.join(sorted(profiles))}" if profiles else "there are none"
        wrong_usage(
            f"There is no profile {name!r} in {path}; {there}.", f'Add it: [profiles.{name}] with url = "https://…"'
        )
    return _profile(path, name, profiles[name])


def _profile(path: Path, name: str, entries: object) -> Profile:
    if not isinstance(entries, dict):
        raise Ended(f"{path}: profiles.{name} must be a table, [profiles.{name}]")
    for key, value in entries.items():
        if key not in _KEYS:
            raise Ended(f"{path}: profiles.{name} has the unknown key {key!r}; there are {', '.join(_KEYS)}")
        if not isinstance(value, str) or not value.strip():
            raise Ended(f"{path}: profiles.{name}.{key} must be a text that is not empty")
    return Profile(**entries)
