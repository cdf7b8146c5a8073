"""Lifecycle rules of a bucket: adds those of the archive data types, keeps all others, and reads the result back."""

import asyncio
import logging
import re
from collections.abc import Iterator, Sequence
from typing import Any

from botocore.exceptions import ClientError

from app.domain.archive_types import LIFECYCLE_TAG, ArchiveDataType
from app.domain.errors import Unavailable
from app.objectstore import LifecycleLimit
from app.objectstore.s3_errors import COMPONENT, code_of, status_of, unavailable

log = logging.getLogger(__name__)

MAX_RULES = 1000
"""S3's limit per bucket."""

READ_BACK_PAUSES = (0.0, 0.2, 0.5, 1.0, 2.0, 4.0)
"""Seconds before each look at what was written: AWS may answer with the old rules for a moment."""

WITHOUT_RULES = (
    "where the store has none, or somebody else keeps them, "
    "set jeap.processarchive.objectstorage.lifecycle-enabled to false"
)

_NOT_OURS = ("NotImplemented", "MethodNotAllowed", "AccessDenied")
"""S3 codes of stores without lifecycle rules, and of keys that may not read or write them."""

Rule = dict[str, Any]


def rule_of(data_type: ArchiveDataType) -> Rule:
    """The rule as botocore writes it. In a versioned bucket it expires in two steps: after the days a delete marker
    hides the object, after as many days more the version itself goes; object lock holds it at least as long."""
    days = data_type.expiration_days
    return {
        "ID": data_type.lifecycle_policy,
        "Filter": {"Tag": {"Key": LIFECYCLE_TAG, "Value": data_type.lifecycle_policy}},
        "Status": "Enabled",
        "Expiration": {"Days": days},
        "NoncurrentVersionExpiration": {"NoncurrentDays": days},
    }


def missing_rules(present: Sequence[Rule], types: Sequence[ArchiveDataType]) -> list[Rule]:
    """The rules of `types` whose id no present rule has, each once."""
    there = {rule.get("ID") for rule in present}
    wanted = {data_type.lifecycle_policy: rule_of(data_type) for data_type in types}
    return [rule for name, rule in wanted.items() if name not in there]


async def ensure_rules(client: Any, bucket: str, types: Sequence[ArchiveDataType]) -> None:
    """Adds the missing rules and reads them back. Raises LifecycleLimit, Unavailable and the client's exceptions.

    A rule with the id of a type and another content was changed by somebody on purpose: it stays, with a warning.
    """
    present, minimum_size, unknown = await _read(client, bucket)
    _warn_of_changed(bucket, present, types)
    missing = missing_rules(present, types)
    if not missing:
        return
    if unknown:
        raise Unavailable(
            COMPONENT,
            f"bucket {bucket}: its lifecycle rules contain {', '.join(unknown)}, which cannot be carried over; "
            f"add these rules by hand: {', '.join(rule['ID'] for rule in missing)}",
        )
    wanted = [*present, *missing]
    if len(wanted) > MAX_RULES:
        raise LifecycleLimit(
            f"bucket {bucket} would need {len(wanted)} lifecycle rules, S3 takes {MAX_RULES}: "
            "remove rules that no data needs, or use another bucket"
        )
    more = {} if minimum_size is None else {"TransitionDefaultMinimumObjectSize": minimum_size}
    try:
        await client.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": wanted}, **more)
    except ClientError as error:
        raise _with_the_way_out(error, bucket) from error
    await _read_back(client, bucket, wanted, minimum_size)
    log.info("lifecycle rules added", extra={"bucket": bucket, "rules": [rule["ID"] for rule in missing]})


def watch_rules(client: Any) -> None:
    """Lets answers with lifecycle rules say which of their elements botocore does not know: it drops those silently."""

    def note(
        operation_model: Any, response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **_: Any
    ) -> None:
        known = {"LifecycleConfiguration", *_element_names(operation_model.output_shape)}
        if response_dict["status_code"] == 200:
            found = {name.decode() for name in re.findall(rb"<([A-Za-z][\w.-]*)", response_dict["body"])}
            customized_response_dict[_UNKNOWN] = sorted(found - known)

    client.meta.events.register("before-parse.s3.GetBucketLifecycleConfiguration", note)


_UNKNOWN = "UnknownElements"


def _element_names(shape: Any) -> Iterator[str]:
    members = shape.members.items() if shape.type_name == "structure" else ()
    if shape.type_name == "list":
        members = ((None, shape.member),)
    for name, member in members:
        yield member.serialization.get("name", name)
        yield from _element_names(member)


async def _read(client: Any, bucket: str) -> tuple[list[Rule], str | None, list[str]]:
    """The present rules, the bucket's setting for the smallest object that a transition moves, unknown elements."""
    try:
        answer = await client.get_bucket_lifecycle_configuration(Bucket=bucket)
    except ClientError as error:
        if code_of(error) == "NoSuchLifecycleConfiguration":
            return [], None, []
        raise _with_the_way_out(error, bucket) from error
    return list(answer.get("Rules", [])), answer.get("TransitionDefaultMinimumObjectSize"), answer.get(_UNKNOWN, [])


def _with_the_way_out(error: ClientError, bucket: str) -> Exception:
    """The same error, or what to do where lifecycle rules cannot be had."""
    if code_of(error) not in _NOT_OURS and status_of(error) not in (405, 501):
        return error
    refused = unavailable(status_of(error), code_of(error), "", bucket).reason
    return Unavailable(COMPONENT, f"{refused} (lifecycle rules); {WITHOUT_RULES}")


async def _read_back(client: Any, bucket: str, wanted: Sequence[Rule], minimum_size: str | None) -> None:
    lost: list[Rule] = []
    for pause in READ_BACK_PAUSES:
        await asyncio.sleep(pause)
        present, size, _ = await _read(client, bucket)
        lost = [rule for rule in wanted if rule not in present]
        if not lost and len(present) == len(wanted) and minimum_size in (None, size):
            return
    names = ", ".join(str(rule.get("ID", "without id")) for rule in lost[:5]) or "the setting for transitions"
    raise Unavailable(COMPONENT, f"bucket {bucket}: lifecycle rules read back differ from those written: {names}")


def _warn_of_changed(bucket: str, present: Sequence[Rule], types: Sequence[ArchiveDataType]) -> None:
    wanted = {data_type.lifecycle_policy: rule_of(data_type) for data_type in types}
    for rule in present:
        expected = wanted.get(str(rule.get("ID")))
        if expected is not None and any(rule.get(name) != value for name, value in expected.items()):
            log.warning(
                "lifecycle rule differs from its archive type and is left as it is",
                extra={"bucket": bucket, "rule": rule["ID"]},
            )
