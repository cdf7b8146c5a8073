"""JSON web key sets: the keys that may have signed a token, parsed once; weak and unsuitable keys are left out."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt import InvalidKeyError
from jwt.algorithms import ECAlgorithm, RSAAlgorithm, get_default_algorithms

RSA_ALGORITHMS = frozenset({"RS256", "RS512", "PS256"})
EC_ALGORITHMS = frozenset({"ES256"})
ALGORITHMS = {name: get_default_algorithms()[name] for name in RSA_ALGORITHMS | EC_ALGORITHMS}
"""The only signatures accepted; each is tied to a type of key, so that no token chooses how its key is used."""

MIN_RSA_BITS = 2048
MAX_RSA_BITS = 8192
"""Verification takes longer with the square of the size."""
MAX_KEYS = 200
"""Keys of one set; parsing one takes up to 0.1 ms, and nothing else runs meanwhile."""


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """A public key with the algorithms that it may verify."""

    id: str | None
    algorithms: frozenset[str]
    public: RSAPublicKey | EllipticCurvePublicKey

    def verifies(self, algorithm: str, signed: bytes, signature: bytes) -> bool:
        """Whether this key made the signature; False too when the algorithm does not belong to this key."""
        return algorithm in self.algorithms and ALGORITHMS[algorithm].verify(signed, self.public, signature)


def parse_keys(document: bytes) -> tuple[VerificationKey, ...]:
    """The usable keys of a JWKS in its order, maybe none.

    Left out: other key types and curves, RSA below 2048 bits, keys for encryption (`use`, `key_ops`), keys for an
    algorithm that is not accepted, keys that do not parse. Raises ValueError when the document is no key set.
    """
    try:
        content = json.loads(document)
    except (ValueError, RecursionError):
        raise ValueError("the key set is not JSON") from None
    entries = content.get("keys") if isinstance(content, dict) else None
    if not isinstance(entries, list):
        raise ValueError("the key set has no list of keys")
    if len(entries) > MAX_KEYS:
        raise ValueError(f"the key set has more than {MAX_KEYS} keys")
    keys = (_parse_key(entry) for entry in entries if isinstance(entry, dict))
    return tuple(key for key in keys if key is not None)


def _parse_key(entry: Mapping[str, Any]) -> VerificationKey | None:
    kid, algorithm, operations = entry.get("kid"), entry.get("alg"), entry.get("key_ops")
    if not (kid is None or isinstance(kid, str)) or entry.get("use", "sig") != "sig":
        return None
    if operations is not None and not (isinstance(operations, list) and "verify" in operations):
        return None
    public = _public_key(entry)
    if public is None:
        return None
    allowed = RSA_ALGORITHMS if isinstance(public, RSAPublicKey) else EC_ALGORITHMS
    if algorithm is not None:
        allowed &= {algorithm} if isinstance(algorithm, str) else set()
    return VerificationKey(kid, allowed, public) if allowed else None


def _public_key(entry: Mapping[str, Any]) -> RSAPublicKey | EllipticCurvePublicKey | None:
    """Reads the public members only: a key set that shows private members by mistake does no further harm."""
    try:
        if entry.get("kty") == "RSA":
            rsa = RSAAlgorithm.from_jwk({name: entry[name] for name in ("kty", "n", "e")})
            if isinstance(rsa, RSAPublicKey) and MIN_RSA_BITS <= rsa.key_size <= MAX_RSA_BITS:
                return rsa
        elif entry.get("kty") == "EC" and entry.get("crv") == "P-256":
            ec = ECAlgorithm.from_jwk({name: entry[name] for name in ("kty", "crv", "x", "y")})
            if isinstance(ec, EllipticCurvePublicKey):
                return ec
    except (InvalidKeyError, UnsupportedAlgorithm, LookupError, TypeError, ValueError, AttributeError):
        return None
    return None
