"""`pas check-config --connect` on the real servers: all is well, then each wrong thing by its name."""

from typing import Any

import pytest

from tests.integration.conftest import MakeArchive
from tests.support.archive import NOT_MIGRATED, Archive
from tests.support.archive_types import OAUTH_CLIENT
from tests.support.service import pas

pytestmark = pytest.mark.timeout(300)


def connect(archive: Archive) -> tuple[int, list[str], list[str]]:
    """Exit code, lines of what was tried and is well, lines of what is not."""
    done = pas("check-config", "--connect", "--config", str(archive.config))
    assert "Traceback" not in done.stderr
    assert "wrong-secret" not in done.stdout + done.stderr
    assert archive.s3.secret_key not in done.stdout + done.stderr
    tried = [line for line in done.stdout.splitlines() if line.endswith(": well")]
    return done.returncode, tried, done.stderr.splitlines()


def test_everything_that_the_settings_name_is_tried_once_and_nothing_is_written(make_archive: MakeArchive) -> None:
    archive = make_archive(make=NOT_MIGRATED)
    done = pas("migrate", "--config", str(archive.config))
    assert done.returncode == 0, done.stderr
    code, well, wrong = connect(archive)
    assert (code, wrong) == (0, [])
    assert [line.partition(" ")[0] for line in well] == ["database:", "topics", "object", "issuer", "token"]
    with pytest.raises(archive.s3.client().exceptions.ClientError, match="NoSuchLifecycleConfiguration"):
        archive.s3.client().get_bucket_lifecycle_configuration(Bucket=archive.bucket)


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "database:": (
        {"jeap.datasource.url": "postgresql://nobody:wrong-secret@127.0.0.1:1/pas"},
        "cannot be reached",
    ),
    "topics": ({"jeap.processarchive.backfill.topic": "not-there"}, "missing topic: not-there"),
    "object": ({"jeap.processarchive.objectstorage.connection.secret-key": "wrong-secret"}, "403"),
    "issuer": (
        {
            "jeap.security.oauth2.resourceserver.issuers": [
                {"issuer": "http://a.b", "jwk-set-uri": "http://127.0.0.1:1"}
            ]
        },
        "keys of http://a.b",
    ),
    "token": ({f"jeap.security.oauth2.client.{OAUTH_CLIENT}.client-secret": "wrong-secret"}, "HTTP 401 invalid_client"),
}


def test_each_wrong_setting_is_named_and_all_of_them_at_once(make_archive: MakeArchive) -> None:
    archive = make_archive(
        make=("topics", "bucket"), settings={n: v for each, _ in WRONG.values() for n, v in each.items()}
    )
    code, well, wrong = connect(archive)
    assert (code, well) == (1, [])
    assert len(wrong) == len(WRONG)
    for line, (what, (_, reason)) in zip(wrong, WRONG.items(), strict=True):
        assert line.startswith(f"pas: {what}")
        assert reason in line


def test_a_database_that_is_not_migrated_is_named(make_archive: MakeArchive) -> None:
    code, well, wrong = connect(make_archive(make=NOT_MIGRATED))
    assert (code, len(well)) == (1, 4)
    [line] = wrong
    assert "run `pas migrate`" in line
