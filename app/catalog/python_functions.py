"""Finds the Python functions that an archive type configuration names, `package.module:function`."""

import importlib
import inspect
import re
from collections.abc import Callable
from typing import Any

from app.catalog.entry import FileEntry
from app.domain.live_rules import PythonFunction

NAME = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*:[^\W\d]\w*(?:\.[^\W\d]\w*)*")


def python_function(entry: FileEntry, key: str, value: Any) -> PythonFunction | None:
    """The function, its module imported; None where there is a mistake. A module is imported once for a process."""
    if not isinstance(value, str) or not NAME.fullmatch(value):
        entry.mistake(key, "must be package.module:function")
        return None
    module, _, name = value.partition(":")
    try:
        importlib.invalidate_caches()
        found: Any = importlib.import_module(module)
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        reason = " ".join(str(error).split())[:200]
        entry.mistake(key, f"{module} cannot be imported: {type(error).__name__}{f': {reason}' if reason else ''}")
        return None
    for part in name.split("."):
        found = getattr(found, part, None)
    problem = _problem(found)
    if problem is not None:
        entry.mistake(key, f"{name} of {module} {problem}")
        return None
    call: Callable[[Any], Any] = found
    return PythonFunction(value, call)


def _problem(found: Any) -> str | None:
    if found is None:
        return "is not there"
    if not callable(found):
        return "is no function"
    if any(of(found) for of in (inspect.iscoroutinefunction, inspect.isgeneratorfunction, inspect.isasyncgenfunction)):
        return "must be a plain function, neither async nor a generator"
    try:
        inspect.signature(found).bind(None)
    except TypeError:
        return "must take one argument, the message"
    except ValueError:
        return None  # a function in C without a signature
    return None
