"""What developers run is one thing: the hooks before a commit are the commands of `make check`."""

import re
from pathlib import Path

import yaml

from app.settings.load import load_settings
from tests.servers import Kafka, Oidc, Postgres, SeaweedFS
from tests.servers.__main__ import addresses

ROOT = Path(__file__).resolve().parents[2]


def test_the_hooks_before_a_commit_are_what_make_check_runs() -> None:
    [repository] = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    recipe = re.search(r"^check:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert recipe is not None
    commands = [line.strip().replace("$(BIN)", ".venv/bin") for line in recipe[1].splitlines()]
    assert [hook["entry"] for hook in repository["hooks"]] == commands


def test_what_make_servers_prints_are_settings_that_the_example_settings_take() -> None:
    broker, database, store, issuer = Kafka(), Postgres(), SeaweedFS(), Oidc()
    broker.port = database.port = issuer.port = 4711
    printed = addresses(broker, database, store, issuer)
    settings = load_settings(ROOT / "config/application.yml", printed)
    assert [each.issuer for each in settings.resource_server.issuers] == [issuer.issuer]
    assert settings.object_storage.connection.access_url == store.url
    assert settings.object_storage.storage.bucket == "pas"
    assert settings.datasource.url.get_secret_value() == database.url("pas")
    assert settings.kafka.bootstrap_servers == broker.bootstrap
    assert settings.kafka.create_topics
    roles = issuer.clients[printed["PAS_CLIENT_ID"]].claims["userroles"]
    assert {role.removeprefix("psf_@") for role in roles} == {
        "backfilljob_#read",
        "backfilljob_#write",
        "artifact_#read",
        "audit_#read",
    }
