"""One entry of `archiveTypes:` while it is read: its values, and the mistakes in it with file, entry and key."""

import difflib
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from app.domain.paths import EVERY, Path, parse_path

MAX_KEY = 255
UNUSABLE = re.compile(r"[\x00-\x1f\ud800-\udfff]")
"""Control characters, and half surrogate pairs, which no database takes; only an escape can write them."""


@dataclass(slots=True)
class FileEntry:
    """One entry of the file, and the list that collects its mistakes."""

    index: int
    raw: Any
    line: int | None
    mistakes: list[str]
    file: str

    def mistake(self, key: str, problem: str) -> None:
        name = self.raw.get("messageType") if isinstance(self.raw, Mapping) else None
        named = f" ({name})" if isinstance(name, str) and name.strip() else ""
        line = f" line {self.line}" if self.line else ""
        self.mistakes.append(f"{self.file}{line}: archiveTypes[{self.index}]{named}: {key}: {problem}")

    def text(self, key: str, *, required: bool = False) -> str | None:
        """A text that is not blank; None where the key is absent or wrong."""
        value = self.raw.get(key)
        if value is None:
            if required:
                self.mistake(key, "missing")
            return None
        return self.checked_text(key, value)

    def checked_text(self, key: str, value: Any) -> str | None:
        if not isinstance(value, str):
            self.mistake(key, "must be text; put it in quotes")
        elif not value.strip() or UNUSABLE.search(value):
            self.mistake(key, "must not be blank or contain control characters or half of a surrogate pair")
        elif key in ("messageType", "id") and len(value) > MAX_KEY:
            self.mistake(key, f"must have at most {MAX_KEY} characters")
        else:
            return str(value.strip())
        return None

    def check_keys(self, key: str, value: Mapping[Any, Any], known: Collection[str]) -> None:
        for name in value:
            if name not in known:
                close = difflib.get_close_matches(str(name), known, n=1)
                hint = f", did you mean {close[0]}?" if close else ""
                self.mistake(f"{key}.{name}" if key else str(name), f"unknown key{hint}")

    def check_values(self, key: str, value: Mapping[Any, Any], names: Collection[str]) -> bool:
        """Whether each of these keys that is there has a value: one that lost it must not change what is archived."""
        empty = [name for name in names if name in value and value[name] is None]
        for name in empty:
            self.mistake(f"{key}.{name}" if key else name, "has no value; give it one, or leave the key out")
        return not empty

    def path(self, key: str, value: Any, *, single: bool = False) -> Path | None:
        """The path; None where it is missing or wrong. `single`: of one value, not of a list of them."""
        problem = "missing" if value is None else "must be text, for example customer.id"
        if isinstance(value, str):
            try:
                path = parse_path(value)
            except ValueError as error:
                problem = str(error)
            else:
                if not single or EVERY not in path.steps:
                    return path
                problem = "[*] makes a list; one value is needed here"
        self.mistake(key, problem)
        return None
