"""Reads the settings of file and environment, checks them, and reports all mistakes at once."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

from pydantic import SecretStr

from app import shipped
from app.domain.notes import as_key_name
from app.settings.binding import bind, unknown
from app.settings.checks import contradictions
from app.settings.model import Connection, Datasource, Issuer, Kafka, ResourceServer, Settings
from app.settings.source import Source, read_source

EXAMPLE = shipped.FILES / "config" / "application.yml"
EMBEDDED_BUCKET = "archive"


class SettingsError(Exception):
    """The settings cannot be used; `mistakes` has one readable line for each, without any secret.

    `settings` are the settings as far as they could be read, with defaults in the place of mistakes; None where nothing
    could be read.
    """

    def __init__(self, mistakes: list[str], settings: "Settings | None" = None) -> None:
        super().__init__("\n".join(mistakes))
        self.mistakes = mistakes
        self.settings = settings


def load_settings(path: Path | None, environ: Mapping[str, str], *, embedded: Path | None = None) -> Settings:
    """The settings of the file and the environment, checked.

    The file is `path`, else the one named by PAS_CONFIG, else `./application.yml`. With `embedded` (the data directory)
    the last choice is the shipped example, and settings of servers are replaced.

    Raises SettingsError with all mistakes at once.
    """
    source = read_source(_file(path, environ, embedded), environ, maps=("jeap.security.oauth2.client",))
    if not source.is_read:
        raise SettingsError(source.mistakes)  # what follows from settings that are not known would be wrong
    settings, origins = _bind_all(source)
    if nothing := _nothing_given(source, settings, embedded):
        raise SettingsError([*source.mistakes, nothing])
    mistakes = source.mistakes + unknown(source, Settings)
    if embedded is not None:
        settings, replaced = embedded_overrides(settings, embedded)
        settings = dataclasses.replace(settings, replaced=tuple(replaced))
        mistakes = [each for each in mistakes if not _is_replaced(each.split(":")[0])]
    named = {mistake.split(":")[0] for mistake in mistakes}
    for name, problem in contradictions(settings):
        # A value that could not be read is not reported as missing as well, nor what follows from its default.
        if name not in named and not any(f"needs {each}," in problem for each in named):
            where = f" ({origins[name]})" if name in origins else ""
            mistakes.append(f"{name}: {problem}{where}")
    if mistakes:
        raise SettingsError(list(dict.fromkeys(mistakes)), settings)
    return settings


def _nothing_given(source: Source, settings: Settings, embedded: Path | None) -> str | None:
    """What is wrong where neither a file nor a variable gives any setting."""
    if embedded is not None or any(each.startswith("jeap.") for each in (*settings.given, *source.mistakes)):
        return None
    if source.is_empty:
        return f"settings file {source.file}: holds no properties"
    if source.file is not None:
        return None
    return "settings file ./application.yml: not there; name one with --config or PAS_CONFIG, or start with --embedded"


_REPLACED = (
    "jeap.messaging.kafka.",
    "jeap.datasource.",
    "jeap.processarchive.objectstorage.connection.",
    "jeap.security.oauth2.resourceserver.issuers[",
    "jeap.security.oauth2.resourceserver.authorization-server.",
    "jeap.security.oauth2.resourceserver.audience",  # it belongs to the issuers: development tokens have none
    "jeap.processarchive.objectstorage.storage.bucket",
    "jeap.security.oauth2.ui-client.",  # one click logs in to the page
    "server.address",
)
_KEPT = {"jeap.messaging.kafka." + name for name in ("system-name", "service-name", "create-topics")}


def _is_replaced(name: str) -> bool:
    return name.startswith(_REPLACED) and name not in _KEPT


def embedded_overrides(settings: Settings, data_dir: Path) -> tuple[Settings, list[str]]:
    """The settings of embedded mode on 127.0.0.1, and the names of the given properties that they replace.

    Replaced are Kafka connection with encoding and schema registry, datasource, object store connection, bucket and
    issuers.
    """
    data_dir = data_dir.resolve()
    replaced = sorted(filter(_is_replaced, settings.given))
    old = settings.kafka
    store = settings.object_storage
    return dataclasses.replace(
        settings,
        server=dataclasses.replace(settings.server, address="127.0.0.1"),
        kafka=Kafka(
            system_name=old.system_name,
            service_name=old.service_name,
            create_topics=old.create_topics,
        ),
        datasource=Datasource(SecretStr(f"sqlite:///{data_dir / 'pas.sqlite'}")),
        object_storage=dataclasses.replace(
            store,
            connection=Connection(),
            storage=dataclasses.replace(store.storage, bucket=EMBEDDED_BUCKET),
        ),
        resource_server=ResourceServer(settings.resource_server.system_name),
        data_dir=data_dir,
    ), replaced


def _file(path: Path | None, environ: Mapping[str, str], embedded: Path | None) -> Path | None:
    """The settings file, or None where the default one is not there: variables may be all there is."""
    named = environ.get("PAS_CONFIG", "")
    if path is not None or named:
        return path or Path(named)
    if embedded is not None:
        return EXAMPLE
    default = Path("application.yml")
    return default if default.exists() else None


def _bind_all(source: Source) -> tuple[Settings, dict[str, str]]:
    origins: dict[str, str] = {}
    settings = bind(Settings, "", source, origins)
    backfill, kafka, server = settings.backfill, settings.kafka, settings.resource_server
    if server.authorization_server != Issuer():
        server = dataclasses.replace(server, issuers=(server.authorization_server, *server.issuers))
    system, service = backfill.system_name or kafka.system_name, backfill.service_name or kafka.service_name
    evidence = settings.evidence
    settings = dataclasses.replace(
        settings,
        backfill=dataclasses.replace(backfill, system_name=system, service_name=service),
        evidence=dataclasses.replace(evidence, key_name=evidence.key_name or as_key_name(f"{system}/{service}")),
        live=dataclasses.replace(
            settings.live,
            dead_letter_topic=settings.live.dead_letter_topic or (backfill.topic and f"{backfill.topic}-dlq"),
        ),
        resource_server=server,
        given=frozenset(origins),
        passed_over=tuple(source.passed_over),
    )
    return settings, origins
