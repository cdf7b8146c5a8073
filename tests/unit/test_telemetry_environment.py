"""What libraries of this process could not use of the environment is taken out and named; the rest stays."""

from pathlib import Path

import pytest

from app.telemetry.environment import pass_over

UNUSABLE = {
    "OTEL_PROPAGATORS": ["tracecontext,baggage,b3", "b3multi", "tracecontext;baggage"],
    "OTEL_PYTHON_CONTEXT": ["foo"],
    "OTEL_PYTHON_TRACER_PROVIDER": ["foo", "sdk_tracer_provider"],
    "OTEL_PYTHON_METER_PROVIDER": ["foo"],
    "_OTEL_PYTHON_LOGGER_PROVIDER": ["foo"],
    "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": ["-1", "many", "1.5"],
    "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT": ["-1"],
    "OTEL_SDK_DISABLED": ["maybe"],
    "OTEL_TRACES_SAMPLER": ["nonsense", "xray"],
    "OTEL_TRACES_SAMPLER_ARG": ["2", "-0.1", "half", "nan"],
    "OTEL_RESOURCE_ATTRIBUTES": ["garbage", "a=b,garbage"],
    "OTEL_EXPERIMENTAL_RESOURCE_DETECTORS": ["nowhere"],
    "OTEL_BSP_MAX_QUEUE_SIZE": ["-1", "0", "abc", "100"],
    "OTEL_BSP_SCHEDULE_DELAY": ["-5", "1s"],
    "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": ["-1", "5000"],
    "OTEL_EXPORTER_OTLP_TIMEOUT": ["abc", "-1", "0", "10s", "nan", "inf"],
    "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT": ["abc"],
    "OTEL_EXPORTER_OTLP_COMPRESSION": ["lz4"],
    "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION": ["zstd"],
    "OTEL_EXPORTER_OTLP_ENDPOINT": ["collector:4318", "grpc://collector:4317", "http://", "http://[", "http://a:x"],
    "OTEL_EXPORTER_OTLP_HEADERS": ["nonsense", "authorization=Bearer hunter2\nx"],
    "OTEL_EXPORTER_OTLP_CERTIFICATE": ["/nowhere/ca.pem", "/"],
    "OTEL_PYTHON_EXPORTER_OTLP_HTTP_CREDENTIAL_PROVIDER": ["foo"],
    "PROMETHEUS_MULTIPROC_DIR": ["/tmp", "/nowhere"],
    "prometheus_multiproc_dir": ["/tmp"],
    "WEB_CONCURRENCY": ["auto", "4", "-1"],
    "AWS_MAX_ATTEMPTS": ["abc", "0"],
    "AWS_METADATA_SERVICE_TIMEOUT": ["1s"],
    "AWS_RETRY_MODE": ["often"],
    "AWS_ENDPOINT_URL_S3": ["s3.example"],
    "AWS_PROFILE": ["missing"],
    "AWS_DEFAULT_PROFILE": ["missing"],
    "SSL_CERT_FILE": ["/nowhere/ca.pem", "/", "/proc/self/status"],
    "SSL_CERT_DIR": ["/nowhere", "/nowhere:/proc/self/status", ":"],
    "SSLKEYLOGFILE": ["/nowhere/keys"],
    "RUAMEL_DEBUG": ["yes"],
}


@pytest.fixture(autouse=True)
def _nobodys_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.mark.parametrize(
    ("variable", "value"), [(name, value) for name, values in UNUSABLE.items() for value in values]
)
def test_what_cannot_be_used_is_taken_out_and_named_without_its_value(variable: str, value: str) -> None:
    environ = {variable: value, "PATH": "/bin"}
    [found] = pass_over(environ)
    assert found.variable == variable
    assert str(found).startswith(f"{variable} (")
    assert "hunter2" not in str(found)
    assert environ == {"PATH": "/bin"}


USABLE = {
    "OTEL_PROPAGATORS": "tracecontext, baggage",
    "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
    "OTEL_TRACES_SAMPLER_ARG": "0.5",
    "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": "0",
    "OTEL_RESOURCE_ATTRIBUTES": "service.name=pas,deployment.environment=test,",
    "OTEL_EXPERIMENTAL_RESOURCE_DETECTORS": "process,*",
    "OTEL_BSP_MAX_QUEUE_SIZE": "100",
    "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "100",
    "OTEL_BSP_SCHEDULE_DELAY": "1000",
    "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318",
    "OTEL_EXPORTER_OTLP_TIMEOUT": "2.5",
    "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip",
    "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20x,y=z",
    "OTEL_SERVICE_NAME": "pas",
    "WEB_CONCURRENCY": "1",
    "FORWARDED_ALLOW_IPS": "nonsense",
    "UVICORN_PORT": "abc",
    "AWS_MAX_ATTEMPTS": "3",
    "AWS_CONFIG_FILE": "/nowhere/config",
    "AWS_REGION": "nowhere",
    "SSL_CERT_DIR": "/nowhere:/",
    "TZ": "Nonsense",
    "LANG": "xx_YY",
    "NO_COLOR": "1",
    "PYTHONASYNCIODEBUG": "1",
}


def test_what_can_be_used_or_is_of_no_library_stays() -> None:
    environ = dict(USABLE)
    assert pass_over(environ) == []
    assert environ == USABLE


def test_empty_variables_count_as_not_set() -> None:
    environ = dict.fromkeys(UNUSABLE, "")
    assert pass_over(environ) == []
    assert environ == {}


def test_a_queue_that_is_smaller_than_a_batch_is_passed_over_with_it() -> None:
    environ = {"OTEL_BSP_MAX_QUEUE_SIZE": "100", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "200"}
    assert [found.variable for found in pass_over(environ)] == [
        "OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
        "OTEL_BSP_MAX_QUEUE_SIZE",
    ]
    assert environ == {}


def test_authorities_that_can_be_read_stay(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.write_text("Our authority\n-----BEGIN CERTIFICATE-----\n")
    assert pass_over({"SSL_CERT_FILE": str(file)}) == []


@pytest.mark.parametrize("where", ["config", "credentials", "home"])
def test_a_profile_that_is_there_stays(where: str, tmp_path: Path) -> None:
    (tmp_path / ".aws").mkdir()
    file = tmp_path / ".aws" / ("credentials" if where == "credentials" else "config")
    file.write_text("[archive]\na=b\n" if where == "credentials" else '[profile "archive"]\na=b\n[profile other]\n')
    variable = {"config": "AWS_CONFIG_FILE", "credentials": "AWS_SHARED_CREDENTIALS_FILE"}.get(where)
    more = {} if variable is None else {variable: str(file)}
    assert pass_over({"AWS_PROFILE": "archive", **more}) == []
    [found] = pass_over({"AWS_PROFILE": "nobody", **more})
    assert found.variable == "AWS_PROFILE"


@pytest.mark.parametrize("variable", ["AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"])
@pytest.mark.parametrize("content", [b"no section", b"[a]\n[a]\n", b"[a]\n\xff"])
def test_a_file_of_aws_that_is_not_valid_is_passed_over(variable: str, content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(content)
    assert [found.variable for found in pass_over({variable: str(file)})] == [variable]
