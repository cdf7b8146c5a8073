"""Encrypts what others keep: the tokens in the rows of sessions, and the state of a login in the browser."""

import os
from hashlib import sha256

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

NONCE = 12
"""Bytes of an AES-GCM nonce."""


class UnreadableSeal(Exception):
    """What was sealed with another key, for another purpose, or was changed."""


class Sealing:
    """AES-256-GCM with a key made of a secret; every process that has the secret can open what another one sealed."""

    def __init__(self, secret: bytes) -> None:
        self._cipher = AESGCM(HKDF(SHA256(), 32, b"pas", b"sessions of the page").derive(secret))

    def seal(self, content: bytes, purpose: bytes) -> bytes:
        """`purpose` is not part of the result, and must be the same when it is opened."""
        nonce = os.urandom(NONCE)
        return nonce + self._cipher.encrypt(nonce, content, purpose)

    def open(self, sealed: bytes, purpose: bytes) -> bytes:
        """Raises Unreadable."""
        try:
            return self._cipher.decrypt(sealed[:NONCE], sealed[NONCE:], purpose)
        except (InvalidTag, ValueError):
            raise UnreadableSeal from None


def hashed(key: str) -> bytes:
    """What the database knows of the key of a session: who reads the table can be nobody else."""
    return sha256(key.encode()).digest()
