"""The error text for an unknown archive data schema: it lists those of the registry, the nearest first."""

from collections.abc import Iterable

from app.domain.archive_types import SchemaName
from app.domain.errors import MAX_MESSAGE
from app.domain.nearest import SHOWN, listed, nearest_first


def unknown_schema(schema: SchemaName, known: Iterable[SchemaName]) -> str:
    """The message of the task, at most 1,000 characters.

    It lists the versions of the schema if only the version is wrong, else the schemas of its system, else those of all
    systems.
    """
    beginning = f"Unknown archive data schema {schema}"
    return f"{beginning}; {_there_are(schema, list(known), MAX_MESSAGE - len(beginning) - 2)}"[:MAX_MESSAGE]


def _there_are(schema: SchemaName, known: list[SchemaName], room: int) -> str:
    versions = {each.version for each in known if each[:2] == schema[:2]}
    if versions:
        nearest = sorted(versions, key=lambda version: (abs(version - schema.version), version))
        return _fitting(f"there {'are versions' if len(versions) > 1 else 'is version'} ", map(str, nearest), room)
    names = dict.fromkeys(each.name for each in known if each.system == schema.system)
    if names:
        return _fitting(f"system {schema.system} has ", nearest_first(schema.name, names), room)
    everything = dict.fromkeys(f"{each.system}/{each.name}" for each in known)
    if not everything:
        return "the registry has none"
    return _fitting("there are ", nearest_first(f"{schema.system}/{schema.name}", everything), room)


def _fitting(begin: str, names: Iterable[str], room: int) -> str:
    """As many names as fit; the others are counted."""
    everything = list(names)
    texts = (begin + listed(everything, shown) for shown in range(min(SHOWN, len(everything)), 0, -1))
    return next((text for text in texts if len(text) <= room), f"there are {len(everything)}, with long names")
