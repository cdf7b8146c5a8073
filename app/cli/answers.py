"""What the service answers as JSON: objects that have what a command takes from them, or are refused in one line."""

from collections.abc import Callable
from typing import Any, Final

from typing_extensions import override

from app.cli.exact import Exact, read_json
from app.cli.exits import Ended

_IS_IT = "Is the address right, with its context path? Is the service of another release than this command line?"


class Unlike(Ended):
    """An answer that is JSON, and not what the service answers."""

    def __init__(self, what: str) -> None:
        super().__init__(f"The answer is not what the service answers: {what}.", _IS_IT)


def _whole(value: Any) -> bool:
    return isinstance(value, int)


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _object(value: Any) -> bool:
    return isinstance(value, Answer)


def _objects(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, Answer) for each in value)


def _number_or_none(value: Any) -> bool:
    return value is None or isinstance(value, int | Exact)


_KINDS: Final[dict[str, Callable[[Any], bool]]] = {
    **dict.fromkeys(("items", "causes", "sample", "buckets"), _objects),
    **dict.fromkeys(("counts", "metadata"), _object),
    **dict.fromkeys(("total", "open", "succeeded", "failed", "count", "processed", "updated"), _whole),
    **dict.fromkeys(("size", "seq", "references"), _whole),
    **dict.fromkeys(("hash", "verdict", "checkpoint", "key"), _text),
    "id": lambda value: isinstance(value, int | str),
    "keys": lambda value: isinstance(value, list) and all(isinstance(each, str) for each in value),
    "next": lambda value: value is None or isinstance(value, str),
    "rate": _number_or_none,
    "version": _number_or_none,
}
"""The kind of a member wherever it is, for those with which a command calculates or that it reads further."""


class Answer(dict[str, Any]):
    """An object of an answer: `answer[name]` is there and of its kind, or raises Unlike; `get` takes what there is."""

    @override
    def __getitem__(self, name: str, /) -> Any:
        if name not in self:
            raise Unlike(f"it has no {name!r}")
        value = super().__getitem__(name)
        kind = _KINDS.get(name)
        if kind is not None and not kind(value):
            raise Unlike(f"its {name!r} is of another kind")
        return value


def read_answer(text: str) -> Answer:
    """Raises Unlike for what is no JSON object."""
    try:
        found = read_json(text, Answer)
    except ValueError:
        raise Unlike("it is no JSON") from None
    if not isinstance(found, Answer):
        raise Unlike("it is no JSON object")
    return found
