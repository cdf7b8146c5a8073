"""Reads the keys of an entry that make its archive type live, and finds those that contradict each other."""

from collections.abc import Mapping
from typing import Any

from app.catalog.entry import FileEntry
from app.catalog.live_conditions import read_conditions
from app.catalog.live_payloads import PayloadMistake, read_payload
from app.catalog.python_functions import python_function
from app.domain.live_rules import PROCESS_ID, LiveRule, PythonFunction, ReferencePaths
from app.domain.paths import Path

LIVE_KEYS = ("reference", "payload", "condition", "processId", "announce")


def read_live(entry: FileEntry, payload_mistake: PayloadMistake | None) -> LiveRule | None:
    """The rule of a live archive type; None where it is not live or has mistakes.

    Live is what has a `reference`, with a `uri` or a `payload`. The other keys say more about that.
    """
    before = len(entry.mistakes)
    entry.check_values("", entry.raw, LIVE_KEYS)
    given = {key: entry.raw[key] for key in LIVE_KEYS if entry.raw.get(key) is not None}
    if "payload" in given and entry.raw.get("uri") is not None:
        entry.mistake("payload", "uri is given too: the data comes from the source or from the message, not from both")
    payload = read_payload(entry, given["payload"], payload_mistake) if "payload" in given else None
    conditions = read_conditions(entry, given["condition"]) if "condition" in given else ()
    process_id = _process_id(entry, given.get("processId"))
    announce = given.get("announce", True)
    if not isinstance(announce, bool):
        entry.mistake("announce", "must be true or false")
    if "reference" not in given:
        if "reference" not in entry.raw:
            _without_reference(entry, given)
        return None
    reference = _reference(entry, given["reference"])
    if reference is None or len(entry.mistakes) > before:
        return None
    return LiveRule(reference, payload, conditions, process_id, bool(announce))


def _without_reference(entry: FileEntry, given: Mapping[str, Any]) -> None:
    if "payload" in given:
        entry.mistake("reference", "missing: it says under which id the message's data is archived")
        return
    for key in given:
        entry.mistake(key, "is for messages that are archived as they come; that needs a reference")


def _reference(entry: FileEntry, value: Any) -> ReferencePaths | PythonFunction | None:
    if not isinstance(value, Mapping):
        entry.mistake("reference", "must have id and, for data with versions, version; or python")
        return None
    if "python" in value:
        entry.check_keys("reference", value, ("python",))
        return python_function(entry, "reference.python", value["python"])
    entry.check_keys("reference", value, ("id", "version"))
    identifier = entry.path("reference.id", value.get("id"), single=True)
    version = None
    if value.get("version") is not None:
        version = entry.path("reference.version", value["version"], single=True)
    uri, has_values = entry.raw.get("uri"), entry.check_values("reference", value, ("version",))
    if isinstance(uri, str) and has_values and ("{version}" in uri) != (value.get("version") is not None):
        without = "missing: uri has {version}" if "{version}" in uri else "uri has no {version}; leave it out"
        entry.mistake("reference.version", without)
    return None if identifier is None else ReferencePaths(identifier, version)


def _process_id(entry: FileEntry, value: Any) -> Path | PythonFunction:
    if isinstance(value, Mapping):
        entry.check_keys("processId", value, ("python",))
        return python_function(entry, "processId.python", value.get("python")) or PROCESS_ID
    return PROCESS_ID if value is None else entry.path("processId", value, single=True) or PROCESS_ID
