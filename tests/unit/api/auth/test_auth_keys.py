"""Which keys of a JWKS are used."""

from typing import Any

import pytest

from app.api.auth.jwks import parse_keys
from tests.unit.api.issuer import jwk, jwks, private_key

RSA, EC = private_key("one"), private_key("ec", "P-256")


def test_a_key_may_verify_the_algorithms_of_its_type_or_the_one_it_is_for() -> None:
    keys = parse_keys(jwks(jwk(RSA), jwk(RSA, alg="PS256"), jwk(EC), jwk(EC, alg="ES256", kid="ec", use="sig")))
    assert [sorted(key.algorithms) for key in keys] == [["PS256", "RS256", "RS512"], ["PS256"], ["ES256"], ["ES256"]]
    assert [key.id for key in keys] == [None, None, None, "ec"]


@pytest.mark.parametrize(
    "entry",
    [
        jwk(private_key("weak", size=1024)),
        jwk(private_key("p384", "P-384")),
        jwk(private_key("k", "K")),
        jwk(RSA, use="enc"),
        jwk(RSA, use=1),
        jwk(RSA, key_ops=["encrypt"]),
        jwk(RSA, key_ops="verify"),
        jwk(RSA, alg="RS384"),
        jwk(RSA, alg="RSA-OAEP"),
        jwk(RSA, alg="ES256"),
        jwk(RSA, alg="HS256"),
        jwk(RSA, alg=1),
        jwk(RSA, alg=["RS256"]),
        jwk(EC, alg="RS256"),
        jwk(EC, crv="P-384"),
        jwk(EC, crv=["P-256"]),
        jwk(EC, x="AAAA"),
        jwk(EC, y=jwk(EC)["x"]),
        jwk(RSA, kid=1),
        jwk(RSA, kid=["one"]),
        jwk(RSA, n=None) | {"n": None},
        jwk(RSA, n=1),
        jwk(RSA, n="!"),
        jwk(RSA, n=""),
        jwk(RSA, e="AA"),
        jwk(RSA, e="ä"),
        jwk(RSA, n="_" * 4000),
        {"kty": "RSA"},
        {"kty": "EC"},
        {"kty": "oct", "k": "c2VjcmV0"},
        {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
        {"kty": ["RSA"]},
        {},
        [],
        None,
        "key",
        1,
    ],
)
def test_a_key_that_is_weak_foreign_or_broken_is_left_out_and_the_others_stay(entry: Any) -> None:
    assert [key.id for key in parse_keys(jwks(entry, jwk(RSA, kid="good")))] == ["good"]


def test_null_members_count_as_broken_only_where_they_are_needed() -> None:
    assert len(parse_keys(jwks(jwk(RSA) | {"kid": None, "alg": None, "key_ops": None}))) == 1


def test_of_a_key_shown_with_its_private_part_only_the_public_one_is_read() -> None:
    (key,) = parse_keys(jwks(jwk(RSA, d="AQAB", p="x")))
    assert key.public.public_numbers() == RSA.public_key().public_numbers()


@pytest.mark.parametrize(
    "document", [b"", b"<html>", b"[]", b"{}", b"null", b'{"keys": {}}', b'{"keys": null}', b"\xff", b"[" * 100_000]
)
def test_what_is_no_key_set_is_refused(document: bytes) -> None:
    with pytest.raises(ValueError, match="key set"):
        parse_keys(document)


def test_a_set_of_very_many_keys_is_refused() -> None:
    assert len(parse_keys(jwks(*[jwk(RSA)] * 200))) == 200
    with pytest.raises(ValueError, match="more than 200 keys"):
        parse_keys(jwks(*[jwk(RSA)] * 201))
