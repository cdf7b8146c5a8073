"""What an answer of S3 means."""

import pytest

from app.domain.errors import Unavailable
from app.objectstore import ObjectRejected, PreconditionFailed
from app.objectstore.s3_errors import error_of, failure


@pytest.mark.parametrize(
    ("status", "code", "if_match"),
    [
        (412, "PreconditionFailed", False),
        (412, "", False),
        (409, "ConditionalRequestConflict", False),
        (409, "ConditionalRequestConflict", True),
        (404, "NoSuchKey", True),
        (404, "", True),
    ],
)
def test_a_condition_that_did_not_hold(status: int, code: str, if_match: bool) -> None:
    assert isinstance(failure(status, code, "", "b", if_match=if_match), PreconditionFailed)


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "MetadataTooLarge"),
        (400, "RequestHeaderSectionTooLarge"),
        (400, "EntityTooLarge"),
        (400, "InvalidTag"),
        (400, "MaxMessageLengthExceeded"),
        (400, "KeyTooLongError"),
        (413, ""),
        (431, ""),
    ],
)
def test_what_only_this_object_causes(status: int, code: str) -> None:
    error = failure(status, code, "secret text of the store", "b")
    assert isinstance(error, ObjectRejected)
    assert error.cause.endswith(f"(HTTP {status} {code})" if code else f"(HTTP {status})")
    assert "secret" not in error.cause


@pytest.mark.parametrize(
    ("status", "code", "hint"),
    [
        (403, "SignatureDoesNotMatch", "secret-key"),
        (403, "InvalidAccessKeyId", "access-key"),
        (403, "AccessDenied", "what the access key may do"),
        (403, "RequestTimeTooSkewed", "set the clock"),
        (400, "ExpiredToken", "expired"),
        (400, "BadDigest", "changed on the way"),
        (400, "InvalidRequest", "object lock enabled"),
        (404, "NoSuchBucket", "create it with versioning and object lock"),
        (301, "PermanentRedirect", "region"),
        (307, "", "region"),
        (503, "SlowDown", "fewer requests"),
        (500, "InternalError", ""),
        (409, "OperationAborted", ""),
        (404, "NoSuchKey", ""),
        (502, "", ""),
    ],
)
def test_everything_else_makes_the_work_wait_and_says_what_to_do(status: int, code: str, hint: str) -> None:
    error = failure(status, code, "Words\nof the store.", "b")
    assert isinstance(error, Unavailable)
    assert error.component == "objectstore"
    assert error.reason.startswith(f"bucket b: HTTP {status} {code}".rstrip() + ": Words of the store")
    assert hint in error.reason


def test_a_missing_bucket_is_not_a_condition() -> None:
    assert isinstance(failure(404, "NoSuchBucket", "", "b", if_match=True), Unavailable)


def test_an_error_body_is_read_whatever_it_is() -> None:
    xml = b'<?xml version="1.0"?>\n<Error><Code>InvalidTag</Code><Message>a &amp; b</Message><X>y</X></Error>'
    assert error_of(xml) == ("InvalidTag", "a & b")
    assert error_of(b"<html>502 Bad Gateway</html>") == ("", "")
    assert error_of(b"\xff\x00<Code></Code>") == ("", "")
    assert error_of(b"<Code>" + b"x" * 70_000 + b"</Code>") == ("", "")
    assert error_of(b'<!DOCTYPE e [<!ENTITY a "aaaa">]><Error><Code>&a;&a;</Code></Error>') == ("&a;&a;", "")
