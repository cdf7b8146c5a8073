"""Which tokens are accepted: form, algorithm, issuer, signature, time, audience."""

import hmac
import json
from hashlib import sha256
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from app.api.auth.callers import Authenticator, Caller, KeySets, ResourceServerOptions
from app.api.auth.jwks import ALGORITHMS, parse_keys
from app.api.http.problems import ApiProblem
from tests.unit.api.issuer import AUDIENCE, ISSUER, NOW, b64, claims, jwk, jwks, private_key, raw_token, token

RSA, OTHER, EC = private_key("one"), private_key("two"), private_key("ec", "P-256")
KEYS = parse_keys(jwks(jwk(RSA, kid="one", alg="RS256"), jwk(OTHER, kid="free"), jwk(EC, kid="ec")))


async def caller(sent: str, audience: str | None = AUDIENCE, now: float = NOW, keys: Any = KEYS) -> Caller:
    options = ResourceServerOptions("psf", audience)
    return await Authenticator(options, KeySets.static(ISSUER, keys), lambda: now).caller([f"Bearer {sent}"])


async def refusal(sent: str, **given: Any) -> str:
    """The `error_description` with which a token is refused."""
    with pytest.raises(ApiProblem) as refused:
        await caller(sent, **given)
    assert refused.value.status == 401
    challenge = refused.value.headers["WWW-Authenticate"]
    start = 'Bearer error="invalid_token", error_description="'
    assert challenge.startswith(start)
    reason = challenge.removeprefix(start).rstrip('"')
    assert refused.value.detail == f"The token is not accepted: {reason}."
    return reason


async def test_the_caller_of_a_valid_token_is_known_with_its_roles() -> None:
    known = await caller(token(name="John Doe", ext_id="287365", userroles=["psf_@backfilljob_#write"]))
    assert (known.subject, known.name, known.ext_id) == ("someone", "John Doe", "287365")
    assert known.has("backfilljob", "write")


@pytest.mark.parametrize(
    ("key", "algorithm", "kid"),
    [
        (RSA, "RS256", "one"),
        (OTHER, "RS256", "free"),
        (OTHER, "RS512", "free"),
        (OTHER, "PS256", "free"),
        (EC, "ES256", "ec"),
    ],
)
async def test_each_accepted_algorithm_verifies(key: Any, algorithm: str, kid: str) -> None:
    assert (await caller(token(key, algorithm, kid))).subject == "someone"
    assert (await caller(token(key, algorithm, None))).subject == "someone"


@pytest.mark.parametrize("algorithm", ["RS384", "PS384", "PS512"])
async def test_other_rsa_algorithms_are_refused(algorithm: str) -> None:
    assert await refusal(token(OTHER, algorithm, "free")) == "algorithm not accepted"


@pytest.mark.parametrize("key", [private_key("p384", "P-384"), private_key("k", "K")])
async def test_another_curve_is_refused_whatever_it_is_called(key: Any) -> None:
    algorithm = "ES384" if key.curve.name == "secp384r1" else "ES256K"
    assert await refusal(token(key, algorithm, "ec")) == "algorithm not accepted"
    assert parse_keys(jwks(jwk(key, kid="ec"))) == ()


@pytest.mark.parametrize(
    "name", ["none", "None", "NONE", "", None, 1, [], {}, ["RS256"], "rs256", "HS256", "EdDSA", "RS256 "]
)
async def test_no_other_name_of_an_algorithm_is_accepted(name: Any) -> None:
    assert await refusal(raw_token({"alg": name, "kid": "one"}, claims())) == "algorithm not accepted"


async def test_an_unsigned_token_is_refused() -> None:
    unsigned = raw_token({"alg": "none"}, claims(), lambda _: b"")
    assert await refusal(unsigned) == "malformed token"
    assert await refusal(unsigned + b64(b"x")) == "algorithm not accepted"
    assert await refusal(raw_token({"alg": "RS256", "kid": "one"}, claims(), lambda _: b"")) == "malformed token"


@pytest.mark.parametrize(
    ("encoding", "form"),
    [(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo), (Encoding.DER, PublicFormat.PKCS1)],
)
async def test_the_public_key_is_no_hmac_secret(encoding: Encoding, form: PublicFormat) -> None:
    secret = RSA.public_key().public_bytes(encoding, form)
    for algorithm in ("HS256", "RS256"):
        made = raw_token({"alg": algorithm, "kid": "one"}, claims(), lambda signed: hmac.digest(secret, signed, sha256))
        assert await refusal(made) == ("algorithm not accepted" if algorithm == "HS256" else "signature invalid")


async def test_a_key_verifies_only_the_algorithms_of_its_type_and_entry() -> None:
    assert await refusal(token(RSA, "PS256", "one")) == "signature invalid"  # `alg` of the key is RS256
    assert await refusal(token(RSA, "RS512", "one")) == "signature invalid"
    assert await refusal(token(EC, "ES256", "one")) == "signature invalid"
    assert await refusal(token(RSA, "RS256", "ec")) == "signature invalid"


async def test_a_token_that_names_a_key_is_tried_with_that_key_only() -> None:
    assert await refusal(token(OTHER, "RS256", "one")) == "signature invalid"
    assert await refusal(token(RSA, "RS256", "nobody")) == "unknown key"
    assert await refusal(token(RSA, "RS256", "")) == "unknown key"


async def test_a_changed_token_is_refused() -> None:
    head, body, signature = token().split(".")
    changed = b64(json.dumps(claims(userroles=["psf"])).encode())
    assert await refusal(f"{head}.{changed}.{signature}") == "signature invalid"
    assert await refusal(f"{head}.{body}.{signature[:-8]}") == "signature invalid"
    assert (
        await refusal(f"{b64(json.dumps({'alg': 'RS256', 'kid': 'free'}).encode())}.{body}.{signature}")
        == "signature invalid"
    )


async def test_a_key_that_comes_with_the_token_is_not_used() -> None:
    stranger = private_key("stranger")
    for members in ({"jwk": jwk(stranger)}, {"jku": "https://evil.example/jwks"}, {"x5u": "https://evil.example/c"}):
        assert await refusal(token(stranger, headers=members)) == "signature invalid"


@pytest.mark.parametrize("typ", ["JWT", "jwt", "at+jwt", "application/at+jwt", None])
async def test_access_tokens_of_any_spelling_are_accepted(typ: str | None) -> None:
    assert isinstance(await caller(token(headers={"typ": typ})), Caller)


@pytest.mark.parametrize("typ", ["logout+jwt", "dpop+jwt", "JWE", "", 1, ["JWT"], {}])
async def test_tokens_of_another_type_are_refused(typ: Any) -> None:
    assert await refusal(raw_token({"alg": "RS256", "typ": typ}, claims())) == "type of token not accepted"


@pytest.mark.parametrize("crit", [["exp"], ["b64"], [], None, "exp"])
async def test_critical_extensions_are_refused(crit: Any) -> None:
    assert (
        await refusal(raw_token({"alg": "RS256", "crit": crit, "exp": 1, "b64": True}, claims())) == "malformed token"
    )


@pytest.mark.parametrize("issuer", [ISSUER + "/", ISSUER.upper(), "https://evil.example", "", " " + ISSUER])
async def test_an_issuer_that_is_not_exactly_the_configured_one_is_not_trusted(issuer: str) -> None:
    assert await refusal(token(iss=issuer)) == "issuer not trusted"


@pytest.mark.parametrize("issuer", [1, [ISSUER], {"iss": ISSUER}, True])
async def test_an_issuer_that_is_no_text_is_malformed(issuer: Any) -> None:
    assert await refusal(raw_token({"alg": "RS256"}, claims(iss=issuer))) == "malformed token"
    assert await refusal(raw_token({"alg": "RS256"}, claims(iss=None))) == "malformed token"


async def test_the_issuer_decides_which_keys_count() -> None:
    ours, theirs = KEYS[:1], parse_keys(jwks(jwk(OTHER, kid="one")))
    sets = KeySets({**KeySets.static(ISSUER, ours)._sources, **KeySets.static("https://b.example", theirs)._sources})
    known = Authenticator(ResourceServerOptions(), sets, lambda: NOW)
    assert isinstance(await known.caller([f"Bearer {token(OTHER, iss='https://b.example')}"]), Caller)
    for key, issuer in ((OTHER, ISSUER), (RSA, "https://b.example")):
        with pytest.raises(ApiProblem, match="signature invalid"):
            await known.caller([f"Bearer {token(key, iss=issuer)}"])


async def test_without_issuers_nobody_is_trusted() -> None:
    with pytest.raises(ApiProblem, match="issuer not trusted"):
        await Authenticator(ResourceServerOptions("psf"), KeySets({})).caller([f"Bearer {token()}"])


@pytest.mark.parametrize(
    ("when", "reason"),
    [
        ({"exp": NOW - 29}, None),
        ({"exp": NOW - 30}, "token expired"),
        ({"exp": NOW - 29.5}, None),
        ({"exp": NOW - 30.5}, "token expired"),
        ({"exp": 0}, "token expired"),
        ({"exp": -(10**30)}, "token expired"),
        ({"exp": 10**400}, None),
        ({"exp": 9.2e18}, None),
        ({"exp": None}, "token without expiry"),
        ({"nbf": NOW + 30}, None),
        ({"nbf": NOW + 31}, "token not valid yet"),
        ({"nbf": NOW + 30.5}, "token not valid yet"),
        ({"nbf": 10**400}, "token not valid yet"),
        ({"nbf": 0}, None),
    ],
)
async def test_times_hold_with_thirty_seconds_of_leeway(when: dict[str, Any], reason: str | None) -> None:
    sent = signed(claims(**when))
    assert (await refusal(sent) if reason else (await caller(sent)).subject) == (reason or "someone")


@pytest.mark.parametrize("value", [str(NOW + 60), "", "x", True, False, [NOW + 60], {}, {"a": 1}])
@pytest.mark.parametrize("claim", ["exp", "nbf"])
async def test_a_time_that_is_no_number_is_malformed(claim: str, value: Any) -> None:
    assert await refusal(signed({**claims(), claim: value})) == "malformed token"


async def test_null_is_no_time_and_iat_does_not_matter() -> None:
    assert await refusal(signed({**claims(), "exp": None})) == "malformed token"
    assert await refusal(signed({**claims(), "nbf": None})) == "malformed token"
    for issued in (NOW + 9999, "yesterday", None):
        assert isinstance(await caller(signed({**claims(), "iat": issued})), Caller)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999", "9" * 5000])
async def test_numbers_that_are_none_are_malformed(number: str) -> None:
    body = json.dumps(claims(exp="?")).replace('"?"', number).encode()
    assert await refusal(signed(body)) == "malformed token"


@pytest.mark.parametrize("audience", [AUDIENCE, [AUDIENCE], ["other", AUDIENCE], [None, 1, AUDIENCE]])
async def test_the_audience_may_be_one_of_several(audience: Any) -> None:
    assert isinstance(await caller(signed(claims(aud=audience))), Caller)


@pytest.mark.parametrize(
    "audience",
    [None, "", "other", "psf", AUDIENCE + "2", AUDIENCE.upper(), [], ["other"], [[AUDIENCE]], {AUDIENCE: 1}, 1],
)
async def test_a_token_for_another_audience_is_refused_where_one_is_configured(audience: Any) -> None:
    sent = signed(claims(aud=audience))
    assert await refusal(sent) == "audience does not match"
    assert isinstance(await caller(sent, audience=None), Caller)


@pytest.mark.parametrize(
    "sent",
    [
        "x",
        "..",
        "a.b",
        "a.b.c.d",
        "a.b.c.d.e",
        "a.b.c",
        "ä.b.c",
        token() + ".",
        "." + token(),
        token() + "=",
        token().replace(".", " "),
        token() + "\n",
        "'" + token(),
        raw_token(b"{", claims()),
        raw_token(b"\xff", claims()),
        raw_token([], claims()),
        raw_token("RS256", claims()),
        raw_token({"alg": "RS256"}, []),
        raw_token({"alg": "RS256"}, None),
        raw_token({"alg": "RS256"}, b"{}}"),
        raw_token({"alg": "RS256"}, b"not JSON"),
        raw_token({"alg": "RS256"}, b"\x80"),
        raw_token({"alg": "RS256", "kid": 1}, claims()),
        raw_token({"alg": "RS256", "kid": ["one"]}, claims()),
        raw_token(b"[" * 6000, claims()),
        raw_token({"alg": "RS256"}, b'{"a":' * 2000),
        raw_token({"alg": "RS256", "x": "y" * 13_000}, claims()),
    ],
    ids=lambda sent: ascii(sent[:20]),
)
async def test_what_is_no_token_is_malformed(sent: str) -> None:
    assert await refusal(sent) == "malformed token"


async def test_a_token_of_sixteen_kibibytes_is_the_largest() -> None:
    sent = token(pad="")
    largest = token(pad="x" * ((16 * 1024 - len(sent)) * 3 // 4))
    assert 16 * 1024 - 4 <= len(largest) <= 16 * 1024
    assert isinstance(await caller(largest), Caller)
    assert await refusal(token(pad="x" * 12_500)) == "malformed token"


async def test_a_token_without_key_id_is_tried_with_a_few_keys_only() -> None:
    entries = [jwk(OTHER, kid=str(number)) for number in range(10)]
    assert isinstance(await caller(token(kid=None), keys=parse_keys(jwks(*entries[:9], jwk(RSA)))), Caller)
    assert await refusal(token(kid=None), keys=parse_keys(jwks(*entries, jwk(RSA)))) == "signature invalid"
    assert await refusal(token(kid=None), keys=()) == "unknown key"


@pytest.mark.parametrize("headers", [[], [""], ["Bearer"], ["Bearer "], ["Basic dTpw"], ["bearertoken"], [token()]])
async def test_without_a_bearer_token_the_challenge_says_nothing_else(headers: list[str]) -> None:
    with pytest.raises(ApiProblem) as refused:
        await Authenticator(ResourceServerOptions(), KeySets.static(ISSUER, KEYS), lambda: NOW).caller(headers)
    assert refused.value.headers == {"WWW-Authenticate": "Bearer"}


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "Bearer "])
async def test_the_scheme_may_be_written_in_any_case(scheme: str) -> None:
    known = Authenticator(ResourceServerOptions(), KeySets.static(ISSUER, KEYS), lambda: NOW)
    assert isinstance(await known.caller([f"{scheme} {token()}"]), Caller)


async def test_two_authorization_headers_are_refused() -> None:
    known = Authenticator(ResourceServerOptions(), KeySets.static(ISSUER, KEYS), lambda: NOW)
    with pytest.raises(ApiProblem, match="more than one authorization header"):
        await known.caller([f"Bearer {token()}", f"Bearer {token()}"])


def signed(payload: object) -> str:
    """A validly signed token with any payload, also one that PyJWT would not make."""
    return raw_token({"alg": "RS256", "kid": "one"}, payload, lambda text: ALGORITHMS["RS256"].sign(text, RSA))
