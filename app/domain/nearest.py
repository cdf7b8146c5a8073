"""Lists existing names in the answer to an unknown name: the nearest first, and no more than a person can read."""

from collections.abc import Iterable
from difflib import SequenceMatcher

SHOWN = 10
"""Names that a text lists; the others are counted."""

ALIKE = 0.5
"""Share of letters in common from which a name is like another: below, the order would only look random."""

LONGEST = 100
"""Characters of a name that are compared: the time that it takes grows with their square."""

COMPARED = 500
"""Names that are compared (20 ms): a configuration has fewer, and nothing else should wait for more."""


def nearest_first(name: str, known: Iterable[str]) -> list[str]:
    """All of `known`: first the names similar to `name`, whatever the case, then the others in their order."""
    matcher = SequenceMatcher(autojunk=False)
    matcher.set_seq2(name[:LONGEST].casefold())

    def distance(other: str) -> float:
        matcher.set_seq1(other[:LONGEST].casefold())
        likely = matcher.real_quick_ratio() >= ALIKE and matcher.quick_ratio() >= ALIKE  # ten times as fast
        alike = matcher.ratio() if likely else 0.0
        return -alike if alike >= ALIKE else 0.0

    names = list(known)
    return sorted(names[:COMPARED], key=distance) + names[COMPARED:]


def listed(names: list[str], shown: int = SHOWN) -> str:
    """`a, b, c`, or `a, b and 12 more`."""
    more = len(names) - shown
    return ", ".join(names) if more <= 0 else f"{', '.join(names[:shown])} and {more} more"


def there_are(name: str, known: Iterable[str], shown: int = SHOWN) -> str:
    """`there are state, limit`; `there are none` when the list is empty."""
    names = nearest_first(name, known)
    return f"there are {listed(names, shown)}" if names else "there are none"
