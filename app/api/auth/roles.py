"""Roles: what the claims of a token allow its caller to do."""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from app.domain.audit import Actor

MAX_NAME = 255
"""Characters kept of `name` and `ext_id`: they go into the database and into reports."""

WORDS = ("roles", "permissions", "scope", "scp")
"""Claims that are a list with some identity providers and one text, divided by blanks, with others; so are the roles in
`realm_access`."""


class Grant(NamedTuple):
    """Permission for an operation on a resource; None stands for all of them."""

    resource: str | None
    operation: str | None

    def covers(self, resource: str, operation: str) -> bool:
        return self.resource in (None, resource) and self.operation in (None, operation)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sent a request. `name` and `ext_id` are the claims of that name, None when absent.

    `expires` is the end of the token in seconds since the epoch.
    """

    subject: str
    name: str | None = None
    ext_id: str | None = None
    grants: frozenset[Grant] = frozenset()
    expires: float = math.inf
    client: str | None = None
    """The claim `azp`, else `client_id`: the program that acts for the subject."""

    @property
    def actor(self) -> Actor:
        """What the audit log says of this caller."""
        return Actor(self.subject or None, self.name, self.ext_id, self.client)

    @property
    def called(self) -> str:
        """The name of this caller in messages."""
        return self.name or self.ext_id or self.subject or "somebody without a name"

    def has(self, resource: str, operation: str) -> bool:
        """Whether this caller has a role, for example `backfilljob`, `write`; read does not follow from write."""
        return any(grant.covers(resource, operation) for grant in self.grants)


def caller_of(claims: Mapping[str, Any], system: str | None) -> Caller:
    """The caller that verified claims describe; a claim of the wrong type counts as absent, it never raises."""
    return Caller(
        subject=_text(claims.get("sub")) or "",
        name=_text(claims.get("name")),
        ext_id=_text(claims.get("ext_id")),
        expires=_number(claims.get("exp")),
        client=_text(claims.get("azp")) or _text(claims.get("client_id")),
        grants=frozenset([*_semantic_grants(claims, system), *_literal_grants(claims)]),
    )


def parse_semantic_role(role: str, system: str) -> Grant | None:
    """The grant of `<system>[_%<tenant>][_@<resource>][_#<operation>]`, None where it is not such a role of `system`.

    As jEAP reads them (SemanticApplicationRole): parts in this order, none twice, upper and lower case differ, and the
    spelling for identity providers without `%` and `#` is known too: `<system>_:<tenant>_@<resource>_!<operation>`,
    not mixed with the other. Unlike jEAP an empty part makes a role void: there `psf_` is everything.
    """
    if not system or not role.startswith(system):
        return None
    rest = role[len(system) :]
    if not rest:
        return Grant(None, None)
    if not rest.startswith("_"):
        return None
    return _grant_of(rest[1:].split("_"), "%", "#") or _grant_of(rest[1:].split("_"), ":", "!")


def _grant_of(parts: list[str], tenant_mark: str, operation_mark: str) -> Grant | None:
    found: dict[str, str] = {}
    expected = [tenant_mark, "@", operation_mark]
    for part in parts:
        mark, value = part[:1], part[1:]
        if mark not in expected or not value:
            return None
        found[mark] = value
        del expected[: expected.index(mark) + 1]
    return Grant(found.get("@"), found.get(operation_mark))


def _semantic_grants(claims: Mapping[str, Any], system: str | None) -> Iterator[Grant]:
    if not system:
        return
    partners = claims.get("bproles")
    lists = [claims.get("userroles"), *(partners.values() if isinstance(partners, dict) else ())]
    for role in (role for roles in lists for role in _texts(roles)):
        if (grant := parse_semantic_role(role, system)) is not None:
            yield grant


def _literal_grants(claims: Mapping[str, Any]) -> Iterator[Grant]:
    """`<resource>:<operation>`, as other identity providers write it; no part of it matches everything."""
    realm = claims.get("realm_access")
    claimed = [*(claims.get(claim) for claim in WORDS), realm.get("roles") if isinstance(realm, dict) else None]
    for role in (word for claim in claimed for word in _words(claim)):
        resource, colon, operation = role.partition(":")
        if resource and colon and operation:
            yield Grant(resource, operation)


def _texts(value: object) -> Iterable[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else ()


def _words(value: object) -> Iterable[str]:
    """The words of a list, or of one text separated by blanks."""
    return value.split(" ") if isinstance(value, str) else _texts(value)


def _number(claim: object) -> float:
    return float(min(claim, 1e12)) if isinstance(claim, int | float) else math.inf


def _text(value: object) -> str | None:
    """Printable text of a claim, numbers written out; controls and lone surrogates fit neither database nor report."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**MAX_NAME:
        value = str(value)
    if not isinstance(value, str):
        return None
    clean = "".join(c if ord(c) >= 0x20 and not 0x7F <= ord(c) < 0xA0 and not _surrogate(c) else "�" for c in value)
    return clean.strip()[:MAX_NAME] or None


def _surrogate(character: str) -> bool:
    return 0xD800 <= ord(character) < 0xE000
