"""Timestamps of RFC 3161 over the SHA-256 of a text: asked for, read, verified. Nothing is sent here."""

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from cryptography import x509
from rfc3161_client import (
    HashAlgorithm,
    PKIStatus,
    TimestampRequestBuilder,
    TimeStampResponse,
    VerificationError,
    VerifierBuilder,
    decode_timestamp_response,
)

QUERY, REPLY = "application/timestamp-query", "application/timestamp-reply"

_SHA256 = x509.ObjectIdentifier("2.16.840.1.101.3.4.2.1")


class TimestampError(ValueError):
    """A timestamp that is malformed, refused, or of something else; the text says why."""


class Query(NamedTuple):
    """A request, and the number that its answer must repeat."""

    content: bytes
    nonce: int | None


def query_for(content: bytes) -> Query:
    """The request for a timestamp over the SHA-256 of `content`, with the certificate of the authority."""
    request = TimestampRequestBuilder().data(content).hash_algorithm(HashAlgorithm.SHA256).build()
    return Query(request.as_bytes(), request.nonce)


def check_reply(reply: bytes, content: bytes, nonce: int | None = None) -> datetime:
    """The time that the reply says for `content`. Its signature is not looked at. Raises TimestampError."""
    response = _read(reply)
    info = response.tst_info
    if nonce is not None and info.nonce != nonce:
        raise TimestampError("the timestamp answers another request")
    if info.message_imprint.hash_algorithm != _SHA256:
        raise TimestampError("the timestamp is not over a SHA-256")
    if info.message_imprint.message != hashlib.sha256(content).digest():
        raise TimestampError("the timestamp is over something else")
    return info.gen_time.astimezone(UTC)


def verify_reply(reply: bytes, content: bytes, authorities: Sequence[x509.Certificate]) -> datetime:
    """The time that one of `authorities` says for `content`: they, or those that they certified, signed it.

    Raises TimestampError.
    """
    moment = check_reply(reply, content)
    builder = VerifierBuilder()
    for certificate in authorities:
        builder = builder.add_root_certificate(certificate)
    try:
        builder.build().verify_message(_read(reply), content)
    except (VerificationError, ValueError) as error:
        raise TimestampError(str(error)) from error
    return moment


def read_certificates(pem: bytes) -> Sequence[x509.Certificate]:
    """Raises TimestampError."""
    try:
        return list(dict.fromkeys(x509.load_pem_x509_certificates(pem)))
    except ValueError as error:
        raise TimestampError("holds no certificate in PEM") from error


def _read(reply: bytes) -> TimeStampResponse:
    try:
        response = decode_timestamp_response(reply)
        status = PKIStatus(response.status)
        if status is not PKIStatus.GRANTED:
            said = ", ".join(response.status_string or ()) or "no reason"
            raise TimestampError(f"the authority refuses: {status.name.lower()} ({said[:200]})")
        if response.as_bytes() != reply:
            raise TimestampError("something follows the timestamp")
        _ = response.tst_info.gen_time
    except TimestampError:
        raise
    except (ValueError, RuntimeError, TypeError) as error:
        raise TimestampError(f"it is no timestamp: {error}") from error
    return response
