"""Describes and fills the dataclasses of the settings: property names, parsers, defaults, documentation."""

import dataclasses
import difflib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar

from app import shipped
from app.settings.source import Given, Source, variable_of
from app.settings.values import stray


class Property(NamedTuple):
    """A property as the documentation lists it. `name` has `<id>` and `[0]` in the place of map and list entries."""

    name: str
    default: str
    about: str

    @property
    def variable(self) -> str:
        """The environment variable; `<id>` becomes `<ID>`."""
        head, found, tail = self.name.partition(".<id>.")
        return f"{variable_of(head)}_<ID>_{variable_of(tail)}" if found else variable_of(self.name)


@dataclass(frozen=True, slots=True)
class _Setting:
    name: str
    parse: Callable[[str], Any]
    shown: str
    about: str
    is_list: bool = False
    has_lines: bool = False


def setting(
    name: str,
    parse: Callable[[str], Any],
    default: Any,
    about: str,
    *,
    shown: str = "–",
    is_list: bool = False,
    has_lines: bool = False,
) -> Any:
    """A dataclass field read from the property `name`; `shown` is its default as the documentation writes it.

    `has_lines`: a text of several lines, such as a key in PEM; others may have no line break.
    """
    return field(default=default, metadata={"setting": _Setting(name, parse, shown, about, is_list, has_lines)})


def group(kind: type[Any], name: str) -> Any:
    return field(default_factory=kind, metadata={"group": (kind, name)})


def entries(kind: type[Any], name: str) -> Any:
    """A list of groups, `name[0]`, `name[1]`, …"""
    return field(default=(), metadata={"list": (kind, name)})


def named_entries(kind: type[Any], name: str) -> Any:
    """A map of groups, `name.<id>`."""
    return field(default_factory=lambda: MappingProxyType({}), metadata={"map": (kind, name)})


S = TypeVar("S")


def properties_of(kind: type[Any]) -> list[Property]:
    """Every property of the model, in the order of its groups."""
    return list(_properties(kind, ""))


def documentation_table(listed: list[Property]) -> str:
    """The Markdown table of docs/configuration.md."""
    rows = [f"| `{each.name}` | {each.default} | {each.about} |" for each in listed]
    return "\n".join(["| property | default | meaning |", "|---|---|---|", *rows]) + "\n"


def _properties(kind: type[Any], prefix: str) -> Iterator[Property]:
    for item in fields(kind):
        if (setting := item.metadata.get("setting")) is not None:
            yield Property(prefix + setting.name, setting.shown, setting.about)
        for shape, suffix in (("group", "."), ("list", "[0]."), ("map", ".<id>.")):
            if shape in item.metadata:
                inner, name = item.metadata[shape]
                yield from _properties(inner, prefix + name + suffix)


def bind(kind: type[S], prefix: str, source: Source, origins: dict[str, str]) -> S:
    found: dict[str, Any] = {}
    for item in fields(kind):  # type: ignore[arg-type] # every kind is a dataclass
        if (setting := item.metadata.get("setting")) is not None:
            name = prefix + setting.name
            given = source.take_list(name) if setting.is_list else source.take(name)
            if given is not None:
                origins[name] = given.origin
            value = item.default if given is None else _parse(name, given, setting, source)
            found[item.name] = _locate(value, source.file) if isinstance(value, Path) else value
            if value is dataclasses.MISSING:
                found[item.name] = item.default
        elif "group" in item.metadata:
            inner, name = item.metadata["group"]
            found[item.name] = bind(inner, f"{prefix}{name}.", source, origins)
        elif "list" in item.metadata:
            inner, name = item.metadata["list"]
            entries = source.entries_of_list(prefix + name)
            found[item.name] = tuple(bind(inner, f"{entry}.", source, origins) for entry in entries)
        elif "map" in item.metadata:
            inner, name = item.metadata["map"]
            keys = {entry.metadata["setting"].name for entry in fields(inner)}
            entries = source.entries_of_map(prefix + name, keys)
            found[item.name] = MappingProxyType(
                {entry: bind(inner, f"{prefix}{name}.{entry}.", source, origins) for entry in entries}
            )
    return kind(**found)


def _parse(name: str, given: Given, setting: _Setting, source: Source) -> Any:
    """The value, or MISSING with a mistake noted. The text is never shown: it may be a secret put in a wrong place."""
    lines = given.text.strip().splitlines() if setting.has_lines else [given.text]
    if wrong := next((problem for line in lines if (problem := stray(line))), None):
        source.mistakes.append(f"{name}: {wrong} ({given.origin})")
        return dataclasses.MISSING
    text = given.text.strip()
    if text.startswith("${") and text.endswith("}"):
        source.mistakes.append(
            f"{name}: placeholders (${{…}}) are not replaced; set the variable {variable_of(name)} ({given.origin})"
        )
        return dataclasses.MISSING
    try:
        return setting.parse(given.text)
    except ValueError as error:
        source.mistakes.append(f"{name}: {error} ({given.origin})")
        return dataclasses.MISSING


def _locate(path: Path, file: Path | None) -> Path:
    """A relative path starts at the working directory, else at the settings file.

    The shipped example works from every directory; other settings never get its archive types by accident.
    """
    if path.is_absolute():
        return path
    places = [Path.cwd(), *([file.resolve().parent] if file else [])]
    if file is not None and file.resolve().is_relative_to(shipped.FILES):
        places.append(shipped.FILES)
    return next((place / path for place in places if (place / path).exists()), places[0] / path)


def _pattern(name: str) -> re.Pattern[str]:
    """Of what is below a property."""
    known = re.escape(name).replace("<id>", ".+?").replace(r"\[0\]", r"\[[0-9]+\]")
    return re.compile(rf"({known})[.\[]")


def unknown(source: Source, model: type[Any]) -> list[str]:
    """A mistake for every unknown property of the file below `jeap`, and for other properties that are nearly a known
    one (`jaep.…`, `server.prot`)."""
    names = [each.name for each in properties_of(model)]
    mistakes = []
    below = [_pattern(each) for each in names]
    for name, given in source.unknown():
        ours = re.match(r"jeap(\.|$)", name) is not None
        close = difflib.get_close_matches(name, names, n=1, cutoff=0.75 if ours else 0.85)
        if not (ours or close):
            continue
        single = next((found for pattern in below if (found := pattern.match(name))), None)
        if single is not None:  # what follows may be a secret
            mistakes.append(f"{single[1]}: must be a single value, not a list or group ({given.origin})")
            continue
        if any(known.startswith((name + ".", name + "[")) for known in names):
            mistakes.append(f"{name}: is a group of properties, not a value ({given.origin})")
            continue
        hint = f", did you mean {close[0]}?" if close else ""
        mistakes.append(f"{name}: unknown property{hint} ({given.origin})")
    return mistakes
