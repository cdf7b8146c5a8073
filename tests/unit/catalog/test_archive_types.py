"""Archive type configurations: every mistake at once with file, entry and key; the look-up of the one that is meant."""

from pathlib import Path

import pytest

from app.catalog.archive_types import (
    AmbiguousConfiguration,
    Catalog,
    CatalogError,
    NotRemoteData,
    UnknownConfigId,
    UnknownMessage,
    load_archive_types,
)
from app.domain.archive_types import ArchiveTypeConfiguration, ExtractionPath

CONFIG = Path(__file__).parents[3] / "config"


def load(tmp_path: Path, text: str, *, insecure: bool = False, name: str = "types.yml") -> Catalog:
    file = tmp_path / name
    file.write_text(text)
    return load_archive_types(file, {"source"}, insecure)


def mistakes(tmp_path: Path, text: str, name: str = "types.yml") -> list[str]:
    with pytest.raises(CatalogError) as caught:
        load(tmp_path, text, name=name)
    return caught.value.mistakes


def mistake_of_uri(tmp_path: Path, uri: str) -> str:
    found = mistakes(tmp_path, f"archiveTypes: [{{messageType: M, topic: t, uri: '{uri}'}}]")
    assert all(line.startswith("types.yml line 1: archiveTypes[0] (M): uri: ") for line in found)
    return "\n".join(found)


def test_an_entry_of_the_origin_document_is_read(tmp_path: Path) -> None:
    catalog = load(
        tmp_path,
        """
archiveTypes:
  - messageType: JmeDecreeDocumentCreatedEvent
    topic: jme-process-archive-decreedocumentcreated
    uri: https://source-service.example/api/archive-data/{id}?version={version}
    oauthClientId: source
    metadata_extraction_paths:
      - {key: customer_id, path: customer.id}
      - {key: all, path: 'items[*].id'}
      - {key: odd, path: '["a.b"].c'}
""",
    )
    (found,) = catalog.configurations
    assert found.is_remote_data
    assert found.is_versioned
    assert found.oauth_client_id == "source"
    assert found.metadata_extraction_paths == (
        ExtractionPath("customer_id", "customer.id"),
        ExtractionPath("all", "items[*].id"),
        ExtractionPath("odd", '["a.b"].c'),
    )


def test_the_example_of_the_repository_is_valid() -> None:
    catalog = load_archive_types(CONFIG / "archive-types.yml", {"example-source"}, False)
    assert [each.is_versioned for each in catalog.configurations] == [False, True]


def test_all_mistakes_are_reported_at_once_with_file_entry_and_key(tmp_path: Path) -> None:
    found = mistakes(
        tmp_path,
        """archiveTypes:
  - messageType: A
    topic: t
    url: https://x.example/{id}
  - topic: two words
    uri: https://x.example/{id}/{kind}
    oauthClientId: nobody
  - 7
  - messageType: B
    topic: t
    uri: https://x.example/
    metadata_extraction_paths: [{key: a, path: a..b}, {key: a, path: b}, {key: c, pth: d}]
extra: 1
""",
    )
    assert found == [
        "types.yml: unknown key extra, only archiveTypes is known",
        "types.yml line 2: archiveTypes[0] (A): url: unknown key, did you mean uri?",
        "types.yml line 2: archiveTypes[0] (A): uri: neither uri nor payload is given: there is nothing to archive",
        "types.yml line 5: archiveTypes[1]: messageType: missing",
        "types.yml line 5: archiveTypes[1]: topic: must be a topic name: at most 249 of "
        "the characters A-Z a-z 0-9 . _ -",
        "types.yml line 5: archiveTypes[1]: uri: has the unknown placeholder {kind}; there are {id} and {version}",
        "types.yml line 5: archiveTypes[1]: oauthClientId: no jeap.security.oauth2.client.nobody in the settings; "
        "configured are: source",
        "types.yml: archiveTypes[2]: archiveTypes: must be a configuration with messageType, topic and uri",
        "types.yml line 9: archiveTypes[3] (B): uri: has no placeholder {id}",
        "types.yml line 9: archiveTypes[3] (B): metadata_extraction_paths[0].path: must look like customer.id, "
        'items[0].id, items[*].id or ["a.b"].c (character 3: a key is missing)',
        "types.yml line 9: archiveTypes[3] (B): metadata_extraction_paths[1].key: a stands twice in the list",
        "types.yml line 9: archiveTypes[3] (B): metadata_extraction_paths[2].pth: unknown key, did you mean path?",
        "types.yml line 9: archiveTypes[3] (B): metadata_extraction_paths[2].path: missing",
    ]


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("http://far.example/{id}", "must be https"),
        ("ftp://x.example/{id}", "absolute https"),
        ("/api/{id}", "absolute https"),
        ("https://{id}.example/", "path and query only"),
        ("https://x.example:{id}/", "not a URL"),
        ("https://x.example/a#{id}", "fragment"),
        ("https://me:secret@x.example/{id}", "credentials"),
        ("https://x.example/{id", "unbalanced brace"),
        ("https://x.example/{{id}}", "unbalanced brace"),
        ("https://x.example/{id}/{}", "unknown placeholder {}"),
        ("https://x.example/{ID}", "no placeholder {id}"),
        ("https://x.example/../{id}", "'..'"),
        ("https://x.example/a b/{id}", "printable ASCII"),
    ],
)
def test_a_template_that_cannot_work_is_refused(tmp_path: Path, uri: str, said: str) -> None:
    text = mistake_of_uri(tmp_path, uri)
    assert said in text
    assert "secret" not in text


@pytest.mark.parametrize("uri", ["http://127.0.0.1:1/{id}", "http://localhost/{id}", "http://[::1]/x?a={id}"])
def test_http_is_accepted_for_loopback(tmp_path: Path, uri: str) -> None:
    assert load(tmp_path, f"archiveTypes: [{{messageType: M, topic: t, uri: '{uri}'}}]").configurations


def test_http_is_accepted_where_the_settings_allow_it(tmp_path: Path) -> None:
    text = "archiveTypes: [{messageType: M, topic: t, uri: 'http://far.example/{id}'}]"
    assert load(tmp_path, text, insecure=True).configurations


def test_several_configurations_of_a_message_need_ids_that_differ(tmp_path: Path) -> None:
    entry = "{messageType: M, topic: t, uri: 'https://x.example/{id}'"
    found = mistakes(tmp_path, f"archiveTypes: [{entry}, id: a}}, {entry}}}, {entry}, id: a}}]")
    assert len(found) == 2
    assert "archiveTypes[1] (M): id: missing" in found[0]
    assert "archiveTypes[2] (M): id: a is the id of archiveTypes[0] too" in found[1]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("archiveTypes: [", "not valid YAML"),
        ("archiveTypes: {}", "must be a list"),
        ("[]", "must hold archiveTypes"),
        ("archiveTypes: [{topic: a, topic: b}]", "duplicate key"),
    ],
)
def test_a_file_of_another_shape_is_refused(tmp_path: Path, text: str, said: str) -> None:
    assert said in mistakes(tmp_path, text)[0]


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match="cannot read"):
        load_archive_types(tmp_path / "nowhere.yml", (), False)


def test_json_is_read_too(tmp_path: Path) -> None:
    text = '{\t"archiveTypes": [{"messageType": "M", "topic": "t", "uri": "https://x.example/{id}"}]}'
    assert load(tmp_path, text, name="types.json").for_message("M")
    assert "duplicate key" in mistakes(tmp_path, '{"archiveTypes": [], "archiveTypes": []}', name="types.json")[0]


def configured(
    message: str, identifier: str | None, uri: str | None = "https://x.example/{id}"
) -> ArchiveTypeConfiguration:
    return ArchiveTypeConfiguration(message, "t", uri, None, identifier)


CATALOG = Catalog(
    (
        configured("Single", None),
        configured("Named", "only"),
        configured("Several", "one"),
        configured("Several", "two"),
        configured("Several", "event", None),
        configured("Event", None, None),
    )
)


def test_the_one_remote_data_configuration_is_resolved() -> None:
    assert CATALOG.resolve("Single", None).message_type == "Single"
    assert CATALOG.resolve("Named", None).id == "only"
    assert CATALOG.resolve("Named", "only").id == "only"
    assert CATALOG.resolve("Several", "two").id == "two"


@pytest.mark.parametrize(
    ("message", "config_id", "error", "said"),
    [
        ("Nobody", None, UnknownMessage, "message Nobody"),
        ("single", None, UnknownMessage, "message single; there are Single, Named, Several$"),
        ("Event", None, NotRemoteData, "no uri"),
        ("Several", "event", NotRemoteData, "no uri"),
        ("Several", None, AmbiguousConfiguration, "config-id: one, two"),
        ("Several", "three", UnknownConfigId, "there are one, two, event"),
        ("Single", "x", UnknownConfigId, "has no id"),
    ],
)
def test_what_cannot_be_resolved_says_why(
    message: str, config_id: str | None, error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        CATALOG.resolve(message, config_id)


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ('{messageType: "a\\ud83d", topic: t', "messageType: must not be blank or contain control characters or half"),
        ('{messageType: A, id: "\\udc00", topic: t', "id: must not be blank or contain control characters or half"),
        (f"{{messageType: {'A' * 256}, topic: t", "messageType: must have at most 255 characters"),
        (
            '{messageType: A, topic: t, metadata_extraction_paths: [{key: "\\ud83d", path: a}]',
            "metadata_extraction_paths[0].key: must be text of 1 to 255 characters, without control characters and",
        ),
    ],
)
def test_names_that_no_database_takes_are_mistakes(tmp_path: Path, entry: str, said: str) -> None:
    found = mistakes(tmp_path, f"archiveTypes: [{entry}, uri: 'https://x.example/{{id}}'}}]")
    assert any(said in each for each in found), found


def test_two_configurations_whose_names_read_alike_are_a_mistake(tmp_path: Path) -> None:
    found = mistakes(
        tmp_path,
        """archiveTypes:
  - {messageType: X, id: y/z, topic: t, uri: "https://x.example/{id}"}
  - {messageType: X/y, id: z, topic: t, uri: "https://x.example/{id}"}
""",
    )
    assert found == [
        "types.yml line 3: archiveTypes[1] (X/y): id: message type and id read X/y/z, like those of X",
    ]
