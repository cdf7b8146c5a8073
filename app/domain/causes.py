"""The cause of a failure: its message without the parts that differ between documents and attempts."""

import re
from functools import lru_cache

from blake3 import blake3

from app.domain.errors import MAX_MESSAGE

NO_MESSAGE = "no message"
"""The cause of a failure without a message."""

_SCHEMA = re.compile(r"Archive data (?:does not match|cannot be checked with) schema \S+ version \d+: ")
"""After it, text in quotes and numbers are those of the schema, equal for all documents."""

_STEP = re.compile(r'\.[\w$*-]+|\[(?:\d+|\*)\]|\["(?:[^"\\]|\\.)*"\]')
"""One step of a path like `$.lines[3]["a name"].qty`."""

_PARTICULAR = (
    (re.compile(r"(?: \(\d+ attempts?\))+$"), ""),
    (re.compile(r"\bline \d+"), "line *"),
    (re.compile(r"\bcolumn \d+"), "column *"),
)
"""Pattern → replacement, for every message."""

_OF_THE_SCHEMA = ((re.compile(r"^(\$\S*): \d+ bytes behind"), r"\1: * bytes behind"),)

_OF_OTHERS = (
    (re.compile(r'"[^"]*"'), '"…"'),
    (re.compile(r"(?<!\w)'[^']*'(?!\w)"), "'…'"),
    (re.compile(r"\b\d+ bytes"), "* bytes"),
    (re.compile(r"(is not an integer from 1): .*"), r"\1"),
)
"""For messages that are not about a schema: texts in quotes come from the source, a number of bytes is a size."""


@lru_cache(maxsize=2048)
def cause_of(message: str | None) -> str:
    """The cause for a message, 1 to 1,000 characters; the cause of a cause is itself.

    Positions in lists, lines and columns become `*`, names in quotes that a source gave `…`, sizes `* bytes`, and the
    number of attempts is left out. Names and limits of a schema stay: they are the rule that was broken.
    """
    if not message:
        return NO_MESSAGE
    if message.startswith("cancelled by "):  # by a name, which may hold anything
        return message
    text = message
    # What is left out may bring together what then is particular again. Each round leaves less to leave out.
    while (common := _without_what_is_particular(text)) != text:
        text = common
    return text


def _without_what_is_particular(text: str) -> str:
    for pattern, common in _PARTICULAR:
        text = pattern.sub(common, text)
    about = _SCHEMA.match(text)
    if about is None:
        for pattern, common in _OF_OTHERS:
            text = pattern.sub(common, text)
    else:
        rule = _without_positions(text[about.end() :])
        for pattern, common in _OF_THE_SCHEMA:
            rule = pattern.sub(common, rule)
        text = about.group() + rule
    return text[:MAX_MESSAGE] or NO_MESSAGE


def _without_positions(rule: str) -> str:
    """The path at the beginning of a rule with `[*]` for each position in a list."""
    if not rule.startswith("$"):
        return rule
    steps, end = ["$"], 1
    while step := _STEP.match(rule, end):
        steps.append("[*]" if step.group()[1:-1].isdigit() else step.group())
        end = step.end()
    return "".join(steps) + rule[end:]


@lru_cache(maxsize=2048)
def cause_id(cause: str) -> int:
    """64 bits of BLAKE3-256, signed: how the database names a cause, the same in every process."""
    return int.from_bytes(blake3(cause.encode("utf-8", "surrogatepass")).digest(length=8), "big", signed=True)
