"""`pas check-config`: what it looks at in the embedded mode, and what it says of variables that are passed over."""

import json
from pathlib import Path

import pytest

from app import service_commands as command_line
from app.__main__ import main
from app.catalog.archive_types import CatalogError
from app.catalog.registry import load_registry
from app.process.check_config import check, is_archiving, load_catalog_with
from app.settings.load import SettingsError, load_settings
from app.telemetry.environment import PassedOver
from tests.unit.settings.test_settings import COMPLETE

EMBEDDED = """
jeap.processarchive.backfill: {enabled: true, topic: commands, system-name: psf, service-name: pas}
jeap.processarchive.archivedartifact: {event-topic: events, system-name: PSF}
"""


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "archive-types.yml").write_text(
        "archiveTypes: [{messageType: A, topic: t, uri: 'http://localhost/{id}'}]"
    )
    (tmp_path / "contracts" / "archive-types").mkdir(parents=True)


def test_the_embedded_mode_needs_no_server() -> None:
    Path("application.yml").write_text(EMBEDDED)
    found = check(None, {"PAS_CONFIG": "application.yml"}, embedded=Path("data"))
    assert found.mistakes == []
    assert f"embedded, data directory: {Path.cwd() / 'data'}" in found.checked
    assert found.checked[0].endswith("archive-types.yml (1)")
    assert not Path("data").exists()
    assert {line.split(":")[0] for line in check(None, {}).mistakes} == {
        "jeap.datasource.url",
        "jeap.messaging.kafka.bootstrap-servers",
        "jeap.processarchive.objectstorage.storage.bucket",
        "jeap.security.oauth2.resourceserver.issuers",
    }


def test_the_embedded_mode_says_what_it_replaces_and_minds_no_mistake_in_it() -> None:
    Path("application.yml").write_text(COMPLETE.replace("postgresql://pas", "mysql://pas"))
    found = check(Path("application.yml"), {}, embedded=Path("data"))
    assert found.mistakes == []
    [line] = [line for line in found.checked if "replaced and not looked at" in line]
    assert "jeap.datasource.url" in line
    assert "hunter2" not in line


def test_mistakes_of_the_embedded_mode_are_named_with_those_of_archive_types() -> None:
    Path("application.yml").write_text(EMBEDDED.replace("topic: commands", "topic: 'no topic'"))
    Path("config/archive-types.yml").write_text("archiveTypes: [{messageType: A}]")
    Path("file").write_text("")
    found = "\n".join(check(Path("application.yml"), {}, embedded=Path("file/data")).mistakes)
    assert "jeap.processarchive.backfill.topic: must be a topic name" in found
    assert "archive-types.yml" in found
    assert "--data-dir: " in found


@pytest.mark.parametrize("embedded", [None, Path("data")])
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"- a\n- b\n", "must hold properties, `name: value`"),
        (b"jeap: [", "not valid YAML (line 1): "),
        ("# a\n".encode("utf-16"), "not UTF-8"),
        (None, "No such file or directory"),
    ],
)
def test_of_settings_that_cannot_be_read_only_that_is_said(
    content: bytes | None, said: str, embedded: Path | None
) -> None:
    """The archive types there, in the place where they are by default, need settings that are not known."""
    Path("config/archive-types.yml").write_text("archiveTypes: [{messageType: A}]")
    file = Path("settings.yml")
    if content is not None:
        file.write_bytes(content)
    [line] = check(file, {}, embedded=embedded).mistakes
    assert line.startswith(f"settings file settings.yml: {said}")


@pytest.mark.parametrize("content", ["", "# jeap.processarchive.backfill.enabled: true\n"])
def test_an_empty_file_is_enough_for_the_embedded_service_alone(content: str) -> None:
    Path("settings.yml").write_text(content)
    assert check(Path("settings.yml"), {}).mistakes == ["settings file settings.yml: holds no properties"]
    assert check(Path("settings.yml"), {}, embedded=Path("data")).mistakes == []


def test_an_empty_file_is_enough_where_variables_give_the_settings() -> None:
    Path("settings.yml").write_text("# all in variables\n")
    assert check(Path("settings.yml"), {"JEAP_PROCESSARCHIVE_BACKFILL_ENABLED": "false"}).mistakes == []


def test_where_there_are_no_settings_at_all_only_that_is_said() -> None:
    Path("config/archive-types.yml").write_text("archiveTypes: [{messageType: A}]")
    [line] = check(None, {}).mistakes
    assert line.startswith("settings file ./application.yml: not there; name one with --config or PAS_CONFIG")
    assert check(None, {"SERVER_SERVLET_CONTEXT_PATH": "/a/.."}).mistakes[1:] == [line]


def test_the_example_is_checked_where_no_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    assert check(None, {}, embedded=Path("data")).checked[0].endswith("config/archive-types.yml (2)")


def test_variables_that_are_passed_over_are_named_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("application.yml").write_text(EMBEDDED)
    monkeypatch.setattr(command_line, "PASSED_OVER", [PassedOver("WEB_CONCURRENCY", "one process")])
    monkeypatch.setenv("SERVER_PORT", "tcp://10.0.0.1:8080")
    assert main(["check-config", "--config", "application.yml", "--embedded"]) == 0
    [line] = capsys.readouterr().err.splitlines()
    assert "WEB_CONCURRENCY (one process)" in line
    assert "SERVER_PORT (" in line
    assert main(["check-config", "--config", "application.yml"]) == 1
    assert "SERVER_PORT (" in capsys.readouterr().err.splitlines()[0]


def test_connect_and_embedded_exclude_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["check-config", "--embedded", "--connect"])
    assert ended.value.code == 2
    assert "not allowed with" in capsys.readouterr().err


LIVE = """archiveTypes:
  - messageType: A
    topic: t
    reference: {id: references.a.id}
    payload: {system: S, schema: Note, schemaVersion: 1}
"""


def registry_with(version: int) -> None:
    folder = Path("contracts/archive-types/s/note")
    folder.mkdir(parents=True, exist_ok=True)
    versions = [{"version": version, "schema": "Note.schema.json"}]
    described = {
        "archiveType": "Note",
        "system": "S",
        "referenceIdType": "n",
        "expirationDays": 1,
        "versions": versions,
    }
    (folder / "Note.json").write_text(json.dumps(described))
    (folder / "Note.schema.json").write_text('{"type": "object"}')


def test_a_payload_needs_a_schema_of_the_registry_that_describes_it() -> None:
    Path("application.yml").write_text(EMBEDDED)
    types, config = Path("config/archive-types.yml"), Path("application.yml")
    types.write_text(LIVE)
    registry_with(version=1)
    assert check(config, {}, embedded=Path("data")).mistakes == []
    registry_with(version=2)
    assert check(config, {}, embedded=Path("data")).mistakes == [
        "archive-types.yml line 2: archiveTypes[0] (A): payload: Unknown archive data schema S/Note version 1; "
        "there is version 2"
    ]
    types.write_text(LIVE.replace("schemaVersion: 1", "schemaVersion: 2, contentType: avro/binary"))
    assert check(config, {}, embedded=Path("data")).mistakes == [
        "archive-types.yml line 2: archiveTypes[0] (A): payload: S/Note version 2 has a schema for application/json, "
        "contentType says avro/binary"
    ]


def test_where_the_registry_has_mistakes_payloads_are_not_compared_with_it() -> None:
    Path("application.yml").write_text(EMBEDDED)
    Path("config/archive-types.yml").write_text(LIVE.replace("id: references.a.id", "id: a..b"))
    registry_with(version=0)
    archive_type, schema = check(Path("application.yml"), {}, embedded=Path("data")).mistakes
    assert "(A): reference.id: must look like" in archive_type
    assert schema.startswith("s/note/Note.json: versions[0].version")


def test_a_changed_file_is_compared_with_the_registry_that_the_service_has() -> None:
    Path("application.yml").write_text(EMBEDDED)
    registry_with(version=1)
    settings = load_settings(Path("application.yml"), {}, embedded=Path("data"))
    registry = load_registry(settings.registry_location)
    registry_with(version=2)
    Path("config/archive-types.yml").write_text(LIVE)
    [found] = load_catalog_with(settings, registry).configurations
    assert found.is_live
    Path("config/archive-types.yml").write_text(LIVE.replace("schemaVersion: 1", "schemaVersion: 2"))
    with pytest.raises(CatalogError, match="there is version 1"):
        load_catalog_with(settings, registry)


WITH_SOURCE = """
archiveTypes:
  - {messageType: A, topic: t, uri: 'http://localhost/{id}', reference: {id: references.a.id}}
"""


def test_live_archive_types_need_what_archiving_needs_without_backfill_too(tmp_path: Path) -> None:
    Path("application.yml").write_text("jeap.processarchive.backfill: {enabled: false, topic: commands}")
    found = check(Path("application.yml"), {})
    assert found.mistakes == []
    assert not is_archiving(load_settings(Path("application.yml"), {}))
    Path("config/archive-types.yml").write_text(WITH_SOURCE)
    found = check(Path("application.yml"), {})
    named = {line.split(":")[0] for line in found.mistakes}
    assert {"jeap.datasource.url", "jeap.messaging.kafka.bootstrap-servers"} <= named
    assert sum("config/archive-types.yml has live archive types" in line for line in found.mistakes) > 5
    with pytest.raises(SettingsError, match=r"jeap\.datasource\.url: missing"):
        is_archiving(load_settings(Path("application.yml"), {}))
    Path("application.yml").write_text("jeap.processarchive: {backfill.enabled: false, live.enabled: false}")
    assert check(Path("application.yml"), {}).mistakes == []
    assert not is_archiving(load_settings(Path("application.yml"), {}))


def test_live_archive_types_alone_are_archived_without_backfill() -> None:
    Path("config/archive-types.yml").write_text(WITH_SOURCE)
    Path("application.yml").write_text(COMPLETE.replace("enabled: true", "enabled: false", 1))
    settings = load_settings(Path("application.yml"), {})
    assert not settings.backfill.enabled
    assert is_archiving(settings)
    assert check(Path("application.yml"), {}).mistakes == []


@pytest.mark.parametrize(
    ("topic", "setting"),
    [
        ("commands", "jeap.processarchive.backfill.topic"),
        ("commands-dlq", "the dead letter topic of jeap.processarchive.backfill.topic"),
        ("letters", "jeap.processarchive.live.dead-letter-topic"),
        ("events", "jeap.processarchive.archivedartifact.event-topic"),
    ],
)
def test_a_live_archive_type_that_reads_a_topic_of_the_service_is_refused(topic: str, setting: str) -> None:
    live = "jeap.processarchive.live: {dead-letter-topic: letters}\n"
    Path("application.yml").write_text(EMBEDDED + live)
    Path("config/archive-types.yml").write_text(WITH_SOURCE.replace("topic: t,", f"topic: {topic},"))
    [mistake] = check(Path("application.yml"), {}, embedded=Path("data")).mistakes
    assert mistake.startswith("archive-types.yml line 3: archiveTypes[0] (A): topic: ")
    assert f"{topic} is {setting} too" in mistake
    with pytest.raises(CatalogError, match="name another topic"):  # as a changed file is read
        load_catalog_with(load_settings(Path("application.yml"), {}, embedded=Path("data")), None)
    Path("application.yml").write_text(EMBEDDED + live.replace("letters}", "letters, enabled: false}"))
    assert check(Path("application.yml"), {}, embedded=Path("data")).mistakes == []


def test_events_of_jobs_may_be_archived_for_live_jobs_have_none() -> None:
    jobs = "jeap.processarchive.backfill.event-topic: jobs\n"
    Path("application.yml").write_text(EMBEDDED + jobs)
    Path("config/archive-types.yml").write_text(WITH_SOURCE.replace("topic: t,", "topic: jobs,"))
    assert check(Path("application.yml"), {}, embedded=Path("data")).mistakes == []
