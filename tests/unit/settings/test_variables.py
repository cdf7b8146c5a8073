"""Variables in our spelling and in that of Spring, without hyphens; links of Kubernetes are nobody's settings."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from app.settings.load import SettingsError, load_settings
from app.settings.model import Settings, properties
from app.settings.variables import spring_variable_of, uniform, variable_of
from tests.unit.settings.test_settings import COMPLETE

CLIENT = "jeap.security.oauth2.client"


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def load(environ: Mapping[str, str], added: str = "") -> Settings:
    Path("application.yml").write_text(COMPLETE + added)
    return load_settings(None, environ)


def mistakes(environ: Mapping[str, str], added: str = "") -> list[str]:
    with pytest.raises(SettingsError) as refused:
        load(environ, added)
    return refused.value.mistakes


def test_the_spelling_of_spring_leaves_hyphens_out() -> None:
    assert spring_variable_of("jeap.security.oauth2.resourceserver.issuers[0].jwk-set-uri") == (
        "JEAP_SECURITY_OAUTH2_RESOURCESERVER_ISSUERS_0_JWKSETURI"
    )


@pytest.mark.parametrize(
    "spelling",
    ["JEAP_PROCESSARCHIVE_BACKFILL_SYSTEM_NAME", "JEAP_PROCESSARCHIVE_BACKFILL_SYSTEMNAME"],
)
def test_both_spellings_of_a_variable_are_read(spelling: str) -> None:
    assert load({spelling: "other"}).backfill.system_name == "other"


def test_every_property_is_read_in_both_spellings() -> None:
    """With a value that none takes: each property must name itself."""
    for each in properties():
        name = each.name.replace("<id>", "my-client")
        added = f'{CLIENT}.my-client: {{token-uri: "https://i.example/t", client-id: a, client-secret: b}}\n'
        added += 'jeap.security.oauth2.resourceserver.authorization-server: {issuer: "https://a.ch"}\n'
        for variable in {variable_of(name), spring_variable_of(name)}:
            found = mistakes({variable: "a\nb"}, added)
            said = "must be a private key" if name.endswith("signing-key") else "has a line break inside; take it away"
            assert any(each.startswith(f"{name}: {said}") and f"(variable {variable})" in each for each in found)


@pytest.mark.parametrize(
    "variable",
    [
        "JEAP_SECURITY_OAUTH2_RESOURCESERVER_ISSUERS_0_JWKSETURI",
        "JEAP_SECURITY_OAUTH2_RESOURCESERVER_ISSUERS_0_JWKSET_URI",
        "JEAP_SECURITY_OAUTH2_RESOURCESERVER_ISSUERS_0_JWK_SETURI",
    ],
)
def test_entries_of_lists_are_read_and_some_hyphens_may_be_left_out(variable: str) -> None:
    assert load({variable: "https://k.example"}).resource_server.issuers[0].jwk_set_uri == "https://k.example"


@pytest.mark.parametrize(
    "variable",
    [
        "JEAP_SECURITY_OAUTH2_CLIENT_MY_CLIENT_CLIENT_SECRET",
        "JEAP_SECURITY_OAUTH2_CLIENT_MY_CLIENT_CLIENTSECRET",
        "JEAP_SECURITY_OAUTH2_CLIENT_MYCLIENT_CLIENTSECRET",
        "JEAP_SECURITY_OAUTH2_CLIENT_MYCLIENT_CLIENT_SECRET",
    ],
)
@pytest.mark.parametrize("entry", ["my-client", "my_client"])
def test_entries_of_maps_are_read(variable: str, entry: str) -> None:
    added = f'{CLIENT}.{entry}: {{token-uri: "https://i.example/t", client-id: a}}\n'
    assert load({variable: "s3cret"}, added).oauth_clients[entry].client_secret.get_secret_value() == "s3cret"
    Path("secret").write_text("s3cret\n")
    read = load({f"{variable}_FILE": "secret"}, added)
    assert read.oauth_clients[entry].client_secret.get_secret_value() == "s3cret"


def test_entries_that_differ_in_hyphens_only_are_read_in_their_own_spelling_only() -> None:
    added = "".join(
        f'{CLIENT}.{entry}: {{token-uri: "https://i.example/t", client-id: a, client-secret: of-{entry}}}\n'
        for entry in ("my-client", "myclient")
    )
    clients = load({"JEAP_SECURITY_OAUTH2_CLIENT_MYCLIENT_CLIENT_SECRET": "new"}, added).oauth_clients
    assert clients["myclient"].client_secret.get_secret_value() == "new"
    assert clients["my-client"].client_secret.get_secret_value() == "of-my-client"


OURS, SPRINGS = "JEAP_PROCESSARCHIVE_BACKFILL_SYSTEM_NAME", "JEAP_PROCESSARCHIVE_BACKFILL_SYSTEMNAME"


def test_both_spellings_with_different_values_are_refused_and_both_named() -> None:
    [line] = mistakes({OURS: "hunter1", SPRINGS: "hunter2"})
    assert line.startswith("jeap.processarchive.backfill.system-name: ")
    assert OURS in line
    assert SPRINGS in line
    assert "hunter" not in line


def test_both_spellings_with_the_same_value_are_fine_and_an_empty_one_does_not_count() -> None:
    assert load({OURS: "same", SPRINGS: "same"}).backfill.system_name == "same"
    assert load({OURS: "", SPRINGS: "other"}).backfill.system_name == "other"
    assert load({OURS: "other", SPRINGS: ""}).backfill.system_name == "other"


def test_both_spellings_of_a_file_are_compared_by_what_is_in_them() -> None:
    Path("one").write_text("same\n")
    Path("two").write_text("same")
    Path("three").write_text("different")
    assert load({f"{OURS}_FILE": "one", f"{SPRINGS}_FILE": "two"}).backfill.system_name == "same"
    [line] = mistakes({f"{OURS}_FILE": "one", f"{SPRINGS}_FILE": "three"})
    assert f"{OURS}_FILE and {SPRINGS}_FILE have different values" in line
    assert "both variables" in mistakes({OURS: "same", f"{SPRINGS}_FILE": "one"})[0]


@pytest.mark.parametrize(
    "variable",
    [
        "JEAPPROCESSARCHIVE_BACKFILL_SYSTEMNAME",
        "JEAP_PROCESSARCHIVEBACKFILL_SYSTEMNAME",
        "JEAP__PROCESSARCHIVE_BACKFILL_SYSTEM_NAME",
        "jeap_processarchive_backfill_systemname",
    ],
)
def test_dots_are_never_left_out(variable: str) -> None:
    assert load({variable: "other"}).backfill.system_name == "psf"


def test_no_two_properties_share_a_spelling() -> None:
    names = [uniform(each.name.replace("<id>", "x")) for each in properties()]
    assert len(set(names)) == len(names)
    assert not {f"{name}FILE" for name in names} & set(names)


@pytest.mark.parametrize("link", ["tcp://10.0.0.1:8080", "udp://[fd00::1]:53", "sctp://10.0.0.1:1"])
def test_a_link_of_kubernetes_is_no_port_and_is_named(link: str) -> None:
    settings = load({"SERVER_PORT": link, "SERVER_PORT_8080_TCP": link, "SERVER_PORT_8080_TCP_PORT": "8080"})
    assert settings.server.port == 8080
    [told] = settings.passed_over
    assert told.startswith("SERVER_PORT ")
    assert load({"SERVER_PORT": link}, "server.port: 9090\n").server.port == 9090
    assert load({"SERVER_ADDRESS": link}).server.address == "0.0.0.0"


@pytest.mark.parametrize("value", ["http://x", "tcp://", "8080/tcp", "eight"])
def test_another_value_that_is_no_port_is_refused(value: str) -> None:
    assert mistakes({"SERVER_PORT": value})[0].startswith("server.port: must be a whole number")


def test_links_of_a_service_called_jeap_or_pas_are_nobodys_settings() -> None:
    links = {
        f"{service}_{name}": "tcp://10.0.0.1:80"
        for service in ("JEAP", "PAS", "JEAP_PROCESSARCHIVE", "JEAP_DATASOURCE", "JEAP_PROCESSARCHIVE_BACKFILL")
        for name in ("PORT", "PORT_80_TCP", "PORT_80_TCP_ADDR", "PORT_80_TCP_PROTO", "SERVICE_HOST", "SERVICE_PORT")
    }
    settings = load(links)
    assert settings.given == load({}).given
    assert settings.passed_over == ()
