"""What the claims of a token allow."""

from typing import Any

import pytest

from app.api.auth.roles import Caller, Grant, caller_of, parse_semantic_role

READ, WRITE, ARTIFACTS = ("backfilljob", "read"), ("backfilljob", "write"), ("artifact", "read")


def allowed(claims: dict[str, Any], system: str | None = "psf") -> set[tuple[str, str]]:
    caller = caller_of(claims, system)
    return {wanted for wanted in (READ, WRITE, ARTIFACTS) if caller.has(*wanted)}


@pytest.mark.parametrize(
    ("role", "expected"),
    [
        ("psf_@backfilljob_#write", {WRITE}),
        ("psf_@backfilljob_#read", {READ}),
        ("psf_@artifact_#read", {ARTIFACTS}),
        ("psf_#write", {WRITE}),
        ("psf_#read", {READ, ARTIFACTS}),
        ("psf_@backfilljob", {READ, WRITE}),
        ("psf", {READ, WRITE, ARTIFACTS}),
        ("psf_%tenant_@backfilljob_#write", {WRITE}),
        ("psf_%tenant_@backfilljob", {READ, WRITE}),
        ("psf_%tenant_#read", {READ, ARTIFACTS}),
        ("psf_%tenant", {READ, WRITE, ARTIFACTS}),
        ("psf_:tenant_@backfilljob_!write", {WRITE}),
        ("psf_@backfilljob_!write", {WRITE}),
        ("psf_!read", {READ, ARTIFACTS}),
    ],
)
def test_a_semantic_role_covers_what_its_parts_name_and_all_of_what_it_leaves_out(
    role: str, expected: set[tuple[str, str]]
) -> None:
    assert allowed({"userroles": [role]}) == expected
    assert allowed({"bproles": {"partner": [role]}}) == expected


NEAR_MISSES = [
    "",
    " ",
    "PSF",
    "Psf_@backfilljob_#write",
    "psf ",
    " psf",
    "psf_",
    "psf__",
    "psf_@",
    "psf_#",
    "psf_%",
    "psf_%_@backfilljob_#write",
    "psf_@_#write",
    "psf_@backfilljob_#",
    "psf_@backfilljob_",
    "psf__@backfilljob_#write",
    "psf_@backfilljob__#write",
    "psf_@backfilljob_#write_",
    "psf_@backfilljobs_#write",
    "psf_@backfilljo_#write",
    "psf_@BackfillJob_#write",
    "psf_@backfilljob_#writes",
    "psf_@backfilljob_#Write",
    "psf_@backfilljob_#read,write",
    "psf_@backfilljob_#*",
    "psf_@*_#write",
    "psf_#writes",
    "psf@backfilljob#write",
    "psf#write",
    "psf_backfilljob_write",
    "psf_backfilljob",
    "psf_write",
    "psf_#write_@backfilljob",
    "psf_@backfilljob_%tenant_#write",
    "psf_#write_%tenant",
    "psf_@backfilljob_@backfilljob_#write",
    "psf_@backfilljob_#write_#write",
    "psf_%a_%b_@backfilljob_#write",
    "psf_@backfilljob_#write_more",
    "psf_@backfilljob_#write_$more",
    "psf_%tenant_@backfilljob_!write",
    "psf_:tenant_@backfilljob_#write",
    "psf_@backfilljob_ #write",
    "psf_@backfilljob_#write ",
    "psfx_@backfilljob_#write",
    "xpsf_@backfilljob_#write",
    "other_@backfilljob_#write",
    "_@backfilljob_#write",
    "@backfilljob_#write",
    "*_@backfilljob_#write",
    "backfilljob:write",
]


@pytest.mark.parametrize("role", NEAR_MISSES)
def test_a_role_that_is_nearly_one_of_ours_gives_nothing(role: str) -> None:
    assert allowed({"userroles": [role], "bproles": {"partner": [role]}}) == set()


def test_a_system_whose_name_has_an_underscore_or_a_prefix_in_common_is_told_apart() -> None:
    assert parse_semantic_role("my_psf_@backfilljob_#write", "my_psf") == Grant("backfilljob", "write")
    assert parse_semantic_role("my_psf", "my") is None
    assert parse_semantic_role("my", "my_psf") is None


@pytest.mark.parametrize("system", [None, ""])
def test_without_a_system_name_no_semantic_role_counts(system: str | None) -> None:
    assert allowed({"userroles": ["psf", "", "_#write", "None"]}, system) == set()


@pytest.mark.parametrize(
    "claims",
    [
        {"roles": ["backfilljob:write"]},
        {"roles": "offline_access backfilljob:write"},
        {"realm_access": {"roles": "backfilljob:write"}},
        {"realm_access": {"roles": ["offline_access", "backfilljob:write"]}},
        {"scope": "openid backfilljob:write profile"},
        {"scope": "backfilljob:write"},
        {"scope": ["openid", "backfilljob:write"]},
        {"scp": "openid backfilljob:write"},
        {"scp": ["openid", "backfilljob:write"]},
        {"permissions": "openid backfilljob:write"},
        {"permissions": ["openid", None, "backfilljob:write"]},
        {"roles": [None, 1, {"a": []}, "backfilljob:write"]},
    ],
)
def test_the_literal_role_of_another_identity_provider_counts(claims: dict[str, Any]) -> None:
    assert allowed(claims) == {WRITE}
    assert allowed(claims, None) == {WRITE}


@pytest.mark.parametrize(
    "role",
    [
        "backfilljob",
        "backfilljob:",
        ":write",
        ":",
        "*:*",
        "*",
        "backfilljob:*",
        "backfilljob:writes",
        "Backfilljob:write",
        "backfilljob.write",
        "backfilljob:write:more",
        "backfilljob: write",
        "psf_@backfilljob_#write",
        "psf",
    ],
)
def test_a_literal_role_that_is_nearly_one_gives_nothing(role: str) -> None:
    lists = {claim: [role] for claim in ("roles", "scope", "scp", "permissions")}
    assert allowed({**lists, "realm_access": {"roles": [role]}}) == set()


WRONG: list[Any] = [
    None,
    0,
    1.5,
    True,
    "",
    "psf",
    "backfilljob:write",
    [],
    {},
    [[]],
    [["psf"]],
    [None],
    [{"psf": "psf"}],
    {"a": 1},
]


@pytest.mark.parametrize("claim", ["userroles", "bproles", "realm_access", "groups", "name", "ext_id", "sub"])
@pytest.mark.parametrize("value", WRONG)
def test_a_claim_of_the_wrong_type_gives_nothing(claim: str, value: Any) -> None:
    assert allowed({claim: value}) == set()


@pytest.mark.parametrize("value", [value for value in WRONG if value != "backfilljob:write"])
def test_a_scope_or_an_inner_claim_of_the_wrong_type_gives_nothing(value: Any) -> None:
    assert allowed({"roles": value, "scope": value, "scp": value, "permissions": value}) == set()
    inner = None if isinstance(value, list) else value
    assert allowed({"realm_access": {"roles": inner}, "bproles": {"a": inner, "b": {"psf": ["psf"]}}}) == set()


def test_other_claims_give_nothing() -> None:
    roles = ["backfilljob:write", "psf"]
    claims = {"scopes": roles, "groups": roles, "resource_access": {"psf": {"roles": roles}}, "authorities": roles}
    assert allowed(claims) == set()


def test_roles_of_several_claims_add_up_and_read_does_not_follow_from_write() -> None:
    assert allowed({"userroles": ["psf_@backfilljob_#write"], "scope": "artifact:read"}) == {WRITE, ARTIFACTS}
    assert not Caller("x", grants=frozenset({Grant("backfilljob", "write")})).has(*READ)
    assert not Caller("x").has(*READ)


def test_name_and_ext_id_are_the_claims() -> None:
    caller = caller_of({"sub": "s-1", "name": "John Doe", "ext_id": "287365"}, "psf")
    assert (caller.subject, caller.name, caller.ext_id) == ("s-1", "John Doe", "287365")
    absent = caller_of({}, "psf")
    assert (absent.subject, absent.name, absent.ext_id) == ("", None, None)


@pytest.mark.parametrize(
    ("claim", "kept"),
    [
        (287365, "287365"),
        ("Zoë\n\0\x1b\x85\ud800", "Zoë�����"),
        ("  ", None),
        ("", None),
        (True, None),
        (1.5, None),
        (["John"], None),
        (10**400, None),
        ("x" * 1000, "x" * 255),
    ],
)
def test_a_name_is_kept_as_text_that_database_and_report_can_hold(claim: Any, kept: str | None) -> None:
    caller = caller_of({"name": claim, "ext_id": claim}, "psf")
    assert (caller.name, caller.ext_id) == (kept, kept)
