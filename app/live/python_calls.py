"""Calls the Python functions of a live archive type: with a copy of the message, and without its values in errors."""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from decimal import Decimal
from types import TracebackType
from typing import Any, NamedTuple, TypeVar

from app.domain.errors import InvalidMessage
from app.domain.exact_json import MAX_INT_DIGITS
from app.domain.live_rules import PythonFunction

T = TypeVar("T")

MAX_DEPTH = 200
"""Objects and lists inside each other that a function can be given, and may return."""

MAX_PLACE = 100
"""Characters of a place in a message."""

TOO_LARGE = 10**MAX_INT_DIGITS
"""For an int: to write it takes time with the square of its length, which that of a Decimal does not."""


class Call(NamedTuple):
    """A call that runs: the key of the configuration, and the name of the function."""

    key: str
    function: str


class Calls:
    """The call that a thread is in: `now`, for those who watch the thread."""

    def __init__(self) -> None:
        self.now: Call | None = None

    @contextmanager
    def watched(self) -> Iterator[None]:
        """The calls of this thread are these, until the block ends."""
        token = _CALLS.set(self)
        try:
            yield
        finally:
            _CALLS.reset(token)


_CALLS: ContextVar[Calls | None] = ContextVar("calls", default=None)

_KINDS: dict[type, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number with a fraction",
    Decimal: "a number with a fraction or very many digits",
    str: "text",
    dict: "an object",
    list: "a list",
    type(None): "nothing",
}


def kind_of(value: Any) -> str:
    """The kind of a value, for messages that must not show the value."""
    return _KINDS.get(type(value)) or f"a value of the type {type(value).__name__[:100]}"


def called(key: str, function: PythonFunction, message: Mapping[str, Any], read: Callable[[Any], T]) -> T:
    """What `read` makes of what the function returns. Raises InvalidMessage with the class of what it raised and the
    line, and what `read` raises as InvalidMessage.

    The text of an exception often has the value that caused it, so it is left out. Each call has its own copy of the
    message: what a function does to it concerns no other configuration. What is returned may have code of its own, an
    object that makes its members when they are asked for, so `read` must leave nothing of it.
    """
    try:
        own = copied(message)
    except NotPlainAnswer as error:
        raise InvalidMessage(f"{key}.python: {function.name} is not called: the message {error}") from None
    calls = _CALLS.get() or Calls()
    calls.now = Call(key, function.name)
    try:
        returned = _returned(key, function, own)
        try:
            return read(returned)
        except InvalidMessage:
            raise
        except BaseException as error:
            raised = f"what {function.name} returned raised {_class_of(error)} when it was read"
            raise InvalidMessage(f"{key}.python: {raised}") from None
    finally:
        calls.now = None


def _returned(key: str, function: PythonFunction, own: dict[str, Any]) -> Any:
    try:
        return function.call(own)
    except BaseException as error:
        line = _line(error.__traceback__)
        where = f" in line {line}" if line else ""
        raise InvalidMessage(f"{key}.python: {function.name} raised {_class_of(error)}{where}") from None


def _class_of(error: BaseException) -> str:
    return type(error).__name__[:100]


def _line(trace: TracebackType | None) -> int | None:
    """The line of the function's own file where it was when it ended."""
    own = None if trace is None or trace.tb_next is None else trace.tb_next
    if own is None:
        return None
    file, line = own.tb_frame.f_code.co_filename, own.tb_lineno
    while own is not None:
        if own.tb_frame.f_code.co_filename == file:
            line = own.tb_lineno
        own = own.tb_next
    return line


class NotPlainAnswer(Exception):
    """A value that JSON and Avro have no word for."""


def copied(value: Any, *, finite: bool = False) -> Any:
    """A copy of plain values: objects, lists, text, numbers, true, false, null; tuples become lists.

    Raises NotPlain with place and kind for everything else, for what holds itself, for ints of more than
    MAX_INT_DIGITS, and, if all numbers have to be `finite`, for NaN and infinity. Names of members may be values, so a
    place has `*` for them.
    """
    return _copied(value, "", MAX_DEPTH, finite)


def _copied(value: Any, place: str, depth: int, finite: bool) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return value if type(value) is str else str.__str__(value)
    if isinstance(value, int):
        if not -TOO_LARGE < value < TOO_LARGE:
            digits = f"{MAX_INT_DIGITS:,} digits at {_shown(place)}"
            raise NotPlainAnswer(f"has a whole number of more than {digits}, which is no Decimal")
        return value if type(value) is int else int.__int__(value)
    if isinstance(value, float | Decimal):
        if finite and not (value.is_finite() if isinstance(value, Decimal) else math.isfinite(value)):
            raise NotPlainAnswer(f"has a number that is not finite at {_shown(place)}")
        return value if type(value) in (float, Decimal) else float(value)
    if depth == 0:
        raise NotPlainAnswer("is nested too deeply")
    if isinstance(value, Mapping):
        members = {}
        for name, each in value.items():
            if not isinstance(name, str):
                raise NotPlainAnswer(f"has a key that is {kind_of(name)}, not text, at {_shown(place)}")
            members[str.__str__(name)] = _copied(each, f"{place}.*", depth - 1, finite)
        return members
    if isinstance(value, list | tuple):
        items = []
        for each in value:  # no comprehension: it would be a level more on the stack
            items.append(_copied(each, f"{place}[*]", depth - 1, finite))  # noqa: PERF401
        return items
    raise NotPlainAnswer(f"has {kind_of(value)} at {_shown(place)}, which is no value of JSON")


def _shown(place: str) -> str:
    return f"${place}" if len(place) <= MAX_PLACE else f"${place[:MAX_PLACE]}…"
