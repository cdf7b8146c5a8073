"""The development token issuer of embedded mode: a key pair in the data directory, and tokens signed with it."""

import json
import re
import secrets
import time
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from jwt.algorithms import ECAlgorithm

from app.api.auth.jwks import parse_keys
from app.api.auth.key_sets import KeySets
from app.private_files import write_once

ALL_ROLES = ("backfilljob:read", "backfilljob:write", "artifact:read", "audit:read")
DEFAULT_TTL = 8 * 3600
"""Seconds: a working day."""


class DevIssuerError(ValueError):
    """A token that cannot be made, or a key that cannot be used; the text says why."""


_ROLE = re.compile(r"[A-Za-z0-9.-]+:[A-Za-z0-9.-]+")


@dataclass(frozen=True, slots=True)
class DevIssuer:
    """The issuer of one data directory. `name` is its `iss`, made from the key: another directory is another issuer."""

    private_key: ec.EllipticCurvePrivateKey
    name: str
    jwk: dict[str, Any]

    def key_sets(self) -> KeySets:
        """Key sets that trust this issuer and no other."""
        return KeySets.static(self.name, parse_keys(json.dumps({"keys": [self.jwk]}).encode()))


def open_issuer(data_dir: Path) -> DevIssuer:
    """The issuer of the data directory; its key is made on first use.

    Raises DevIssuerError when the file is no such key or cannot be read or written.
    """
    private_key = _private_key(data_dir / "dev-issuer" / "key.pem")
    public = ECAlgorithm.to_jwk(private_key.public_key(), as_dict=True)
    thumbprint = _thumbprint(public)
    return DevIssuer(
        private_key, f"urn:pas:dev:{thumbprint}", {**public, "kid": thumbprint, "use": "sig", "alg": "ES256"}
    )


def mint(
    data_dir: Path,
    roles: Sequence[str] = (),
    name: str | None = "Developer",
    ext_id: str | None = None,
    ttl: float = DEFAULT_TTL,
    system: str | None = None,
) -> str:
    """A token for the embedded service on this data directory.

    `roles` as in `backfilljob:write`, none for all of them; `ttl` in seconds. With `system` they are written as its
    semantic roles. Raises DevIssuerError for a role of another form or a `ttl` that is not positive.
    """
    for role in roles:
        if _ROLE.fullmatch(role) is None:
            raise DevIssuerError(f"'{role}' is not a role; roles look like backfilljob:write")
    if not 0 < ttl < 1e11:
        raise DevIssuerError("the time to live is a positive number of seconds")
    issuer = open_issuer(data_dir)
    now = int(time.time())
    claims = {
        "iss": issuer.name,
        "sub": "developer",
        "iat": now,
        "exp": int(now + ttl),
        "jti": secrets.token_hex(8),
        **_role_claim(roles or ALL_ROLES, system),
        **({"name": name} if name else {}),
        **({"ext_id": ext_id} if ext_id else {}),
    }
    return jwt.encode(claims, issuer.private_key, algorithm="ES256", headers={"kid": issuer.jwk["kid"]})


def _role_claim(roles: Sequence[str], system: str | None) -> dict[str, list[str]]:
    if system is None:
        return {"roles": list(roles)}
    return {"userroles": [f"{system}_@{resource}_#{op}" for resource, _, op in (r.partition(":") for r in roles)]}


def _private_key(path: Path) -> ec.EllipticCurvePrivateKey:
    try:
        pem = path.read_bytes()
    except FileNotFoundError:
        try:
            _create(path)
            pem = path.read_bytes()
        except OSError as error:
            raise DevIssuerError(f"{path} cannot be made: {error.strerror}") from error
    except OSError as error:
        raise DevIssuerError(f"{path} cannot be read: {error.strerror}") from error
    try:
        key = load_pem_private_key(pem, None)
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise DevIssuerError(f"{path} is not a P-256 private key; removed, it is made anew and old tokens end")
    return key


def _create(path: Path) -> None:
    pem = ec.generate_private_key(ec.SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    write_once(path, pem)


def _thumbprint(jwk: dict[str, Any]) -> str:
    """RFC 7638: of the required members in lexical order, without white space."""
    members = json.dumps({name: jwk[name] for name in ("crv", "kty", "x", "y")}, separators=(",", ":"))
    return urlsafe_b64encode(sha256(members.encode()).digest()).rstrip(b"=").decode()
