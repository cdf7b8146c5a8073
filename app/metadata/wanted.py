"""Reads a request for a run: its archive type and keys. Every mistake lists the names that would be possible."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from app.db import definitions
from app.db.definitions import AppliedDefinition
from app.domain.archive_types import archive_type_name
from app.domain.mistakes import Mistake
from app.domain.runs import Mode

SHOWN = 30
"""Possible names that a mistake lists."""


@dataclass(frozen=True, slots=True)
class WantedRun:
    """Without `config_id` the only configuration of the message type is meant; without `keys` all active keys."""

    message_type: str
    config_id: str | None
    keys: tuple[str, ...]
    mode: Mode


class Misfit(Exception):
    """The request fits no definition."""

    def __init__(self, *mistakes: Mistake) -> None:
        super().__init__("; ".join(f"{each.path}: {each.message}" for each in mistakes))
        self.mistakes = mistakes


async def resolve(connection: AsyncConnection, wanted: WantedRun) -> tuple[AppliedDefinition, tuple[str, ...]]:
    """The applied definition that the request means, and its keys, each once. Raises Misfit."""
    known = dict.fromkeys((message, config) for message, config, _, _ in await definitions.all_keys(connection))
    ids = [config for message, config in known if message == wanted.message_type]
    if not ids:
        names = dict.fromkeys(message for message, _ in known)
        raise Misfit(
            _mistake(
                "messageType", f"is not known, or has no metadata keys; {_those('archive types with keys', names)}"
            )
        )
    applied = await definitions.find(
        connection, archive_type_name(wanted.message_type, _config_id(wanted.config_id, ids))
    )
    assert applied is not None  # noqa: S101 # its keys were found in this transaction
    active = [key.key for key in applied.keys if key.active]
    unknown = list(_unknown(wanted.keys, active))
    if unknown:
        raise Misfit(*unknown)
    if not active:
        raise Misfit(_mistake("keys", "the archive type has no active key"))
    return applied, tuple(dict.fromkeys(wanted.keys)) or tuple(active)


def _config_id(wanted: str | None, ids: Sequence[str | None]) -> str | None:
    if wanted in ids:
        return wanted
    named = [each for each in ids if each is not None]
    if wanted is not None:
        raise Misfit(_mistake("configId", f"is not known; {_those('configurations of the message type', named)}"))
    if len(named) > 1:
        raise Misfit(
            _mistake("configId", f"is missing; {_those('the message type has several configurations', named)}")
        )
    return named[0]


def _unknown(keys: Sequence[str], active: Sequence[str]) -> Iterator[Mistake]:
    for place, key in enumerate(keys):
        if key not in active:
            yield _mistake(f"keys[{place}]", f"is no active key; {_those('active keys', active)}")


def _mistake(path: str, message: str) -> Mistake:
    return Mistake(path, None, message)


def _those(what: str, names: "Sequence[str] | dict[str, None]") -> str:
    shown = list(names)[:SHOWN]
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{what}: {', '.join(shown) or 'none'}{more}"
