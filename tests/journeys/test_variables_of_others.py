"""The commands in an environment full of variables that others mean: no traceback, one warning, all work done."""

import json
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from typing_extensions import override

from tests.servers.source import Source
from tests.support.archive_types import unversioned
from tests.support.effects import assert_all_succeeded
from tests.support.embedded import Embedded
from tests.support.service import Service, pas

NAMED = {
    "OTEL_PROPAGATORS": "tracecontext,baggage,b3",
    "OTEL_PYTHON_TRACER_PROVIDER": "foo",
    "OTEL_PYTHON_METER_PROVIDER": "foo",
    "_OTEL_PYTHON_LOGGER_PROVIDER": "foo",
    "OTEL_PYTHON_CONTEXT": "foo",
    "OTEL_TRACES_SAMPLER": "nonsense",
    "OTEL_TRACES_SAMPLER_ARG": "nonsense",
    "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": "-1",
    "OTEL_RESOURCE_ATTRIBUTES": "garbage",
    "OTEL_EXPERIMENTAL_RESOURCE_DETECTORS": "nowhere",
    "OTEL_BSP_MAX_QUEUE_SIZE": "-1",
    "OTEL_BSP_SCHEDULE_DELAY": "-1",
    "OTEL_EXPORTER_OTLP_TIMEOUT": "abc",
    "OTEL_EXPORTER_OTLP_COMPRESSION": "lz4",
    "OTEL_EXPORTER_OTLP_CERTIFICATE": "/nowhere/ca.pem",
    "OTEL_PYTHON_EXPORTER_OTLP_HTTP_CREDENTIAL_PROVIDER": "foo",
    "WEB_CONCURRENCY": "auto",
    "PROMETHEUS_MULTIPROC_DIR": "/nowhere",
    "SERVER_PORT": "tcp://10.0.0.1:8080",
    "AWS_MAX_ATTEMPTS": "abc",
    "AWS_PROFILE": "missing",
    "AWS_CONFIG_FILE": "/etc/passwd",
    "SSLKEYLOGFILE": "/nowhere/keys",
    "RUAMEL_DEBUG": "yes",
}
"""Each one alone ends a command or every request where it is not passed over, or is named beside those."""

OTHERS = {
    "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1",  # switches the export on; nobody is there
    "FORWARDED_ALLOW_IPS": "nonsense",
    "UVICORN_PORT": "abc",
    "SERVER_PORT_8080_TCP": "tcp://10.0.0.1:8080",
    "SERVER_SERVICE_HOST": "10.0.0.1",
    "JEAP_PORT": "tcp://10.0.0.1:80",
    "PAS_PORT": "tcp://10.0.0.1:80",
    "PYTHONASYNCIODEBUG": "1",
    "PYTHONIOENCODING": "ascii",
    "FASTAPI_OTEL_AUTO_CONFIGURE": "true",
    "NO_COLOR": "1",
    "COLUMNS": "abc",
    "TZ": "Nonsense",
    "LANG": "xx_YY",
    "HOME": "/nowhere",
    "TMPDIR": "/nowhere",
}
ENVIRONMENT = {**NAMED, **OTHERS}


@pytest.fixture
def embedded(tmp_path: Path) -> Iterator[Embedded]:
    with Source() as source:
        yield Embedded(tmp_path, source)


class _Port(Service):
    """Listens where the settings say: `--port` would go before the variable."""

    @override
    def command(self) -> list[str]:
        return [part for part in super().command() if part not in ("--port", "0")]


def assert_named(line: str) -> None:
    assert {name for name in ENVIRONMENT if f"{name} (" in line} == set(NAMED)


def test_the_embedded_service_does_a_job_and_names_the_variables_in_one_warning(embedded: Embedded) -> None:
    embedded.config.write_text(embedded.config.read_text() + "\nserver.port: 0\n")
    job_id = uuid4()
    with _Port(embedded.arguments, lambda: embedded.token, ENVIRONMENT) as service:
        service.submit(job_id, unversioned("a", "b", "c"))
        assert_all_succeeded(service.wait_completed(job_id), ["a", "b", "c"])
        assert "pas_" in httpx.get(f"{service.url}/metrics").text
        service.terminate()
        assert service.exit_code() == 0
        logged = service.logged()
        output = service.log.read_text()
    [warning] = [line["message"] for line in logged if "passed over" in line["message"]]
    assert_named(warning)
    assert "Traceback" not in output


def test_check_config_and_migrate_name_the_variables_in_one_line(embedded: Embedded) -> None:
    done = pas("check-config", *embedded.arguments, environment=ENVIRONMENT)
    assert done.returncode == 0, done.stderr
    [line] = done.stderr.splitlines()
    assert_named(line)

    settings = embedded.config.read_text() + (
        "\njeap.datasource.url: postgresql://pas@127.0.0.1:1/pas\njeap.messaging.kafka.bootstrap-servers: localhost:1"
        "\njeap.processarchive.objectstorage.storage.bucket: archive"
        "\njeap.security.oauth2.resourceserver.issuers: [{issuer: 'https://a.ch', jwk-set-uri: 'https://a.ch/k'}]\n"
    )
    embedded.config.write_text(settings)
    done = pas("migrate", "--config", str(embedded.config), environment=ENVIRONMENT)
    assert done.returncode == 1
    warning, refusal = done.stderr.splitlines()
    assert_named(json.loads(warning)["message"])
    assert refusal.startswith("pas: database: cannot be reached")
