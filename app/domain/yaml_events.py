"""The events of a YAML text from ruamel's parser in Python, for what libyaml refuses though YAML 1.2 allows it.

That is a colon or a question mark within a plain value in brackets: `[{id: urn:a:b}, {id: a?b}]`. For all that both
read, both give the same events.
"""

import re
from collections.abc import Callable
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.events import ScalarEvent

MOST_BYTES = 512 * 1024
"""More is not read again: this takes 2.6 s for 80 KB of references on a busy machine, libyaml 0.03 s."""

_HALF = re.compile("[\ud800-\udfff]")


def refused_by_libyaml_alone(error: YAMLError, size: int) -> bool:
    """Whether the parser in Python may read a text of `size` bytes in which libyaml found this error."""
    problem, context = getattr(error, "problem", None) or "", getattr(error, "context", None) or ""
    broken_off = problem.startswith("did not find expected") and context.startswith("while parsing a flow")
    return size <= MOST_BYTES and (broken_off or problem == "found unexpected ':'")


def python_events(text: bytes) -> Callable[[], Any]:
    """A function that returns the next event, of the same classes as libyaml's, and raises YAMLError.

    Of what this parser reads and libyaml does not, only that is taken which all readers of YAML 1.2 take for the same:
    no plain value that ends with a colon (`{id: a:}`), and no half of a surrogate pair.
    """
    events = YAML(typ="safe", pure=True).parse(text)

    def event() -> Any:
        try:
            found = next(events)
        except ValueError as error:  # "\U00110000"
            raise YAMLError(str(error)) from error
        if type(found) is ScalarEvent:
            if not found.style and found.value.endswith(":"):
                raise YAMLError("a plain value ends with a colon")
            if not found.value.isascii() and _HALF.search(found.value):
                raise YAMLError("half of a surrogate pair")
        return found

    return event
