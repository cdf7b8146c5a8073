"""What every store refuses before anything is written."""

from typing import Any

import pytest

from app.objectstore import ObjectRejected
from app.objectstore.limits import check_upload
from tests.unit.objectstore.uploads import upload_to


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"user_metadata": {"a": "x" * 2048}}, "metadata has 2049 bytes, more than the 2048 that S3 takes"),
        ({"user_metadata": {"a": "line\r\nx-amz-meta-b: c"}}, "metadata value of a is not printable ASCII"),
        ({"user_metadata": {"a": "ü"}}, "metadata value of a"),
        ({"user_metadata": {"a": " x"}}, "metadata value of a"),
        ({"user_metadata": {"a b": "x"}}, "metadata name 'a b' cannot stand in a header"),
        ({"content_type": "text/plain\n"}, "content type"),
        ({"content_type": ""}, "content type"),
        ({"tag": ("ArchiveTypeLifecyclePolicy", "a&b")}, "tag ArchiveTypeLifecyclePolicy=a&b"),
        ({"tag": ("k", "v" * 257)}, "tag k=vvv"),
        ({"key": "a/../b"}, "object key"),
        ({"key": "ü" * 513}, "object key has 1026 bytes"),
    ],
)
def test_what_no_store_takes_is_rejected_with_the_cause(changes: dict[str, Any], cause: str) -> None:
    with pytest.raises(ObjectRejected) as caught:
        check_upload(upload_to("b", **changes))
    assert caught.value.cause.startswith(cause)


def test_what_just_fits_is_taken() -> None:
    check_upload(upload_to("b", "ü" * 512, user_metadata={"a": "x" * 2047}, tag=("k", "v" * 256)))
    check_upload(upload_to("b", content_type="application/json; charset=utf-8", tag=None, user_metadata={}))
