"""What stands around a secret: read without it from a file, refused by name elsewhere; never shown."""

import os
import re
from pathlib import Path

import pytest

from app.settings.load import SettingsError, load_settings
from app.settings.model import Settings, properties
from app.settings.source import MAX_SECRET
from app.settings.variables import variable_of
from tests.unit.settings.test_settings import COMPLETE

SECRET = "s3cret-hunter2"
CLIENT = "jeap.security.oauth2.client.source"
ADDED = f"""
jeap.processarchive.objectstorage.connection: {{access-key: key, secret-key: secret}}
{CLIENT}: {{token-uri: "https://id.example/token", client-id: me, client-secret: secret}}
"""
AROUND = ["\n", "\r\n", "\n\n", "\r", "\ufeff", "\ufeff\n", "\u2028", "\x85", "\v"]
BLANKS = [" ", "\t", " \r\n "]


def load(environ: dict[str, str], added: str = ADDED) -> Settings:
    file = Path("application.yml")
    file.write_text(COMPLETE + added, encoding="utf-8")
    return load_settings(file, environ)


def mistakes(environ: dict[str, str], added: str = ADDED) -> list[str]:
    with pytest.raises(SettingsError) as refused:
        load(environ, added)
    assert SECRET not in "\n".join(refused.value.mistakes)
    assert "hunter2" not in "\n".join(refused.value.mistakes)
    return refused.value.mistakes


def secret_of(settings: Settings) -> str:
    return settings.oauth_clients["source"].client_secret.get_secret_value()


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("around", [*AROUND, *BLANKS])
def test_a_secret_in_a_file_is_read_without_what_stands_around_it(around: str) -> None:
    file = Path("secret")
    for content in (f"{SECRET}{around}", f"{around}{SECRET}", f"{around}{SECRET}{around}"):
        file.write_bytes(content.encode())
        settings = load({variable_of(f"{CLIENT}.client-secret") + "_FILE": str(file)})
        assert secret_of(settings) == SECRET


@pytest.mark.parametrize("around", AROUND)
def test_in_a_variable_or_in_the_settings_file_it_is_refused_by_name(around: str) -> None:
    name = f"{CLIENT}.client-secret"
    for given, said in ((f"{SECRET}{around}", "ends with"), (f"{around}{SECRET}", "begins with")):
        [line] = mistakes({variable_of(name): given})
        assert line.startswith(f"{name}: {said} ")
        assert line.endswith(f"(variable {variable_of(name)})")
        escaped = "".join(f"\\u{ord(char):04x}" for char in given)
        [line] = mistakes({}, ADDED.replace("client-secret: secret", f'client-secret: "{escaped}"'))
        assert line.startswith(f"{name}: {said} ")
        assert "application.yml line" in line


def test_a_line_break_that_a_block_of_the_settings_file_leaves_is_refused() -> None:
    [line] = mistakes(
        {}, f'{CLIENT}:\n  token-uri: "https://i.example/t"\n  client-id: me\n  client-secret: |\n    {SECRET}\n'
    )
    assert line.startswith(f"{CLIENT}.client-secret: ends with a line break")


@pytest.mark.parametrize("blank", [" ", "\u00a0"])
def test_a_blank_around_a_secret_in_a_variable_is_refused(blank: str) -> None:
    for given in (SECRET + blank, blank + SECRET):
        [line] = mistakes({variable_of(f"{CLIENT}.client-secret"): given})
        assert line.startswith(f"{CLIENT}.client-secret: begins or ends with a blank")


@pytest.mark.parametrize(
    "name",
    [
        "jeap.processarchive.backfill.topic",
        "jeap.processarchive.backfill.service-name",
        "jeap.processarchive.archivedartifact.event-topic",
        "jeap.processarchive.objectstorage.connection.access-url",
        "jeap.processarchive.objectstorage.connection.access-key",
        "jeap.processarchive.objectstorage.connection.secret-key",
        "jeap.processarchive.objectstorage.connection.region",
        "jeap.processarchive.objectstorage.storage.bucket",
        "jeap.messaging.kafka.bootstrap-servers",
        "jeap.messaging.kafka.username",
        "jeap.messaging.kafka.password",
        "jeap.security.oauth2.resourceserver.issuers[0].issuer",
        "jeap.security.oauth2.resourceserver.issuers[0].jwk-set-uri",
        "jeap.security.oauth2.resourceserver.audience",
        f"{CLIENT}.token-uri",
        f"{CLIENT}.client-id",
        f"{CLIENT}.scope",
        "jeap.datasource.url",
        "jeap.processarchive.backfill.window",
        "server.port",
    ],
)
def test_every_other_setting_is_refused_with_it_too(name: str) -> None:
    value = {"bootstrap-servers": "kafka:9092", "url": "postgresql://db/pas", "window": "5", "port": "8080"}
    text = value.get(
        name.rpartition(".")[2], "https://x.example" if name.endswith(("issuer", "uri", "-url")) else "abc"
    )
    for wrong in (f"{text}\n", f"{text}\r", f"\ufeff{text}"):
        found = [line for line in mistakes({variable_of(name): wrong}) if line.startswith(f"{name}: ")]
        assert re.search(r": (begins|ends) with a (line break|carriage return|byte order mark); take it away", found[0])


@pytest.mark.parametrize(
    ("inside", "said"),
    [
        ("\n", "a line break"),
        ("\r", "a carriage return"),
        ("\0", r"a control character \(U\+0000\)"),
        ("\x1b", r"a control character \(U\+001B\)"),
        ("\x7f", r"a control character \(U\+007F\)"),
        ("\ufeff", "a byte order mark"),
        ("\u200b", r"an invisible character \(U\+200B\)"),
    ],
)
def test_a_control_character_inside_a_secret_is_refused_wherever_it_is_given(inside: str, said: str) -> None:
    file = Path("secret")
    file.write_bytes(f"s3cret{inside}hunter2\n".encode())
    name = f"{CLIENT}.client-secret"
    [line] = mistakes({variable_of(name) + "_FILE": str(file)})
    assert re.match(rf"{re.escape(name)}: has {said} inside; take it away \(variable .*_FILE\)", line)
    [line] = mistakes({variable_of(name): f"s3cret{inside}hunter2"})
    assert re.match(rf"{re.escape(name)}: has {said} inside", line)


def test_bytes_of_a_variable_that_are_not_utf_8_are_refused() -> None:
    [line] = mistakes({variable_of(f"{CLIENT}.client-secret"): os.fsdecode(b"hunter2\xff")})
    assert line.startswith(f"{CLIENT}.client-secret: is not UTF-8")


@pytest.mark.parametrize("encoded", ["%0A", "%0D%0A", "%EF%BB%BF"])
def test_a_line_break_that_a_url_of_the_database_encodes_is_refused(encoded: str) -> None:
    [line] = mistakes({"JEAP_DATASOURCE_URL": f"postgresql://pas:hunter2{encoded}@db/pas"})
    assert line.startswith("jeap.datasource.url: has a password that ends with a ")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"\n \xef\xbb\xbf\r\n", "is empty"),
        ("hunter2".encode("utf-16"), "is UTF-16; save it as UTF-8"),
        (b"\xfe\xff" + "hunter2".encode("utf-16-be"), "is UTF-16; save it as UTF-8"),
        ("hünter2".encode("latin-1"), "is not UTF-8"),
        (b"hunter2" * MAX_SECRET, "is larger than 64 KiB"),
    ],
)
def test_a_file_that_holds_no_secret_is_refused_in_clear_words(content: bytes, said: str) -> None:
    Path("secret").write_bytes(content)
    variable = variable_of(f"{CLIENT}.client-secret") + "_FILE"
    assert mistakes({variable: "secret"})[0] == f"{CLIENT}.client-secret: the file named by {variable} {said}"


@pytest.mark.parametrize(("path", "said"), [(".", "Is a directory"), ("nowhere", "No such file or directory")])
def test_a_file_that_cannot_be_read_is_refused_in_clear_words(path: str, said: str) -> None:
    variable = variable_of(f"{CLIENT}.client-secret") + "_FILE"
    assert mistakes({variable: path})[0] == f"{CLIENT}.client-secret: cannot read the file named by {variable}: {said}"


def test_a_path_with_a_line_break_is_refused_with_the_variable_that_names_it() -> None:
    Path("secret").write_text(SECRET)
    variable = variable_of(f"{CLIENT}.client-secret") + "_FILE"
    assert mistakes({variable: "secret\n"})[0] == (
        f"{CLIENT}.client-secret: the variable {variable} ends with a line break; take it away"
    )


def test_utf_16_without_a_mark_is_refused() -> None:
    Path("secret").write_bytes("hunter2".encode("utf-16-le"))
    variable = variable_of(f"{CLIENT}.client-secret") + "_FILE"
    assert "control character (U+0000)" in mistakes({variable: "secret"})[0]


def test_no_default_or_example_has_a_character_that_is_refused() -> None:
    assert load({}).given
    assert properties()
