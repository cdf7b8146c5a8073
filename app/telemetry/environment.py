"""Removes variables of other products that the libraries of this process cannot use, and names them once.

Nothing is imported here that reads the environment itself: this runs before anything else is loaded.
"""

import re
from collections.abc import Iterator, Mapping, MutableMapping
from typing import NamedTuple

from typing_extensions import override

from app.telemetry.environment_checks import (
    Check,
    at_most_one,
    certificates,
    directories,
    file,
    header_pairs,
    http_url,
    ini_file,
    installed,
    never,
    number,
    one_of,
    pairs,
    positive,
    sections,
    several_of,
    writable,
)


class PassedOver(NamedTuple):
    variable: str
    reason: str

    @override
    def __str__(self) -> str:
        return f"{self.variable} ({self.reason})"


def pass_over(environ: MutableMapping[str, str]) -> list[PassedOver]:
    """Removes unusable variables from the environment; returns each with the reason, in the order of their names.

    An empty variable is removed silently: it counts as not set, which not every library knows.
    """
    found: list[PassedOver] = []
    for variable in sorted(environ):
        check = _CHECKS.get(variable)
        if check is None:
            continue
        problem = check(environ[variable]) if environ[variable].strip() else None
        if problem is not None:
            found.append(PassedOver(variable, problem))
        if problem is not None or not environ[variable].strip():
            del environ[variable]
    for variable, reason in _at_odds(environ):
        found.append(PassedOver(variable, reason))
        del environ[variable]
    return sorted(found)


_BOOLEAN = one_of("true", "false")
_COUNT, _FROM_ONE = number(0, whole=True), number(1, whole=True)
_NO_PROVIDER = never("this service records and exports its spans itself")
_NO_PROCESSES = never("this service gathers the metrics of its processes itself")
_SAMPLERS = ("always_on", "always_off", "traceidratio")

_CHECKS: Mapping[str, Check] = {
    # OpenTelemetry: read when it is loaded, also where no spans are exported
    "OTEL_PROPAGATORS": several_of("tracecontext", "baggage", "none"),
    "OTEL_PYTHON_CONTEXT": one_of("contextvars_context"),
    "OTEL_PYTHON_TRACER_PROVIDER": _NO_PROVIDER,
    "OTEL_PYTHON_METER_PROVIDER": _NO_PROVIDER,
    "OTEL_PYTHON_LOGGER_PROVIDER": _NO_PROVIDER,
    "_OTEL_PYTHON_LOGGER_PROVIDER": _NO_PROVIDER,
    **dict.fromkeys(
        (
            "OTEL_ATTRIBUTE_COUNT_LIMIT",
            "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT",
            "OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT",
            "OTEL_LINK_ATTRIBUTE_COUNT_LIMIT",
            "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT",
            "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT",
            "OTEL_SPAN_EVENT_COUNT_LIMIT",
            "OTEL_SPAN_LINK_COUNT_LIMIT",
        ),
        _COUNT,
    ),
    # … and where they are
    "OTEL_SDK_DISABLED": _BOOLEAN,
    "OTEL_TRACES_SAMPLER": one_of(*_SAMPLERS, *(f"parentbased_{name}" for name in _SAMPLERS)),
    "OTEL_TRACES_SAMPLER_ARG": at_most_one,
    "OTEL_RESOURCE_ATTRIBUTES": pairs,
    "OTEL_EXPERIMENTAL_RESOURCE_DETECTORS": installed("opentelemetry_resource_detector", "*"),
    **dict.fromkeys(
        (
            "OTEL_BSP_EXPORT_TIMEOUT",
            "OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
            "OTEL_BSP_MAX_QUEUE_SIZE",
            "OTEL_BSP_SCHEDULE_DELAY",
        ),
        _FROM_ONE,
    ),
    **{
        f"OTEL_EXPORTER_OTLP_{signal}{name}": check
        for signal in ("", "TRACES_")
        for name, check in {
            "ENDPOINT": http_url,
            "TIMEOUT": positive,
            "COMPRESSION": one_of("none", "gzip", "deflate"),
            "HEADERS": header_pairs,
            "CERTIFICATE": file,
            "CLIENT_KEY": file,
            "CLIENT_CERTIFICATE": file,
        }.items()
    },
    **dict.fromkeys(
        (
            "OTEL_PYTHON_EXPORTER_OTLP_HTTP_CREDENTIAL_PROVIDER",
            "OTEL_PYTHON_EXPORTER_OTLP_HTTP_TRACES_CREDENTIAL_PROVIDER",
        ),
        installed("opentelemetry_otlp_credential_provider"),
    ),
    # prometheus_client: values in files of a directory, one for each process
    "PROMETHEUS_MULTIPROC_DIR": _NO_PROCESSES,
    "prometheus_multiproc_dir": _NO_PROCESSES,
    # uvicorn
    "WEB_CONCURRENCY": lambda value: (
        None if value.strip() == "1" else "`pas serve --processes` says how many there are"
    ),
    # botocore
    **dict.fromkeys(
        ("AWS_MAX_ATTEMPTS", "AWS_METADATA_SERVICE_NUM_ATTEMPTS", "AWS_METADATA_SERVICE_TIMEOUT", "AWS_CSM_PORT"),
        _FROM_ONE,
    ),
    "AWS_RETRY_MODE": one_of("legacy", "standard", "adaptive"),
    "AWS_DEFAULTS_MODE": one_of("legacy", "standard", "cross-region", "in-region", "mobile", "auto"),
    "AWS_STS_REGIONAL_ENDPOINTS": one_of("legacy", "regional"),
    "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE": one_of("ipv4", "ipv6"),
    "AWS_EC2_METADATA_SERVICE_ENDPOINT": http_url,
    "AWS_ENDPOINT_URL": http_url,
    "AWS_ENDPOINT_URL_S3": http_url,
    "AWS_ENDPOINT_URL_STS": http_url,
    "AWS_ACCOUNT_ID_ENDPOINT_MODE": one_of("preferred", "disabled", "required"),
    "AWS_CONFIG_FILE": ini_file,
    "AWS_SHARED_CREDENTIALS_FILE": ini_file,
    "AWS_PROFILE": lambda _value: None,  # beside the files: below
    "AWS_DEFAULT_PROFILE": lambda _value: None,
    # OpenSSL: without a word it trusts nobody then, or those that the other variable or the system names
    "SSL_CERT_FILE": certificates,
    "SSL_CERT_DIR": directories,
    # ssl of Python: notes the keys of all connections there
    "SSLKEYLOGFILE": writable,
    # ruamel.yaml
    "RUAMEL_DEBUG": number(0, whole=True),
    "YAMLDEBUG": number(0, whole=True),
}


def _at_odds(environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """The conflict of a variable with another variable, or with the default of that."""
    batch, queue = "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "OTEL_BSP_MAX_QUEUE_SIZE"
    if int(environ.get(batch, 512)) > int(environ.get(queue, 2048)):  # the defaults of the specification
        for variable in (batch, queue):
            if variable in environ:
                yield variable, f"{batch} is more than {queue}"
    for variable in ("AWS_PROFILE", "AWS_DEFAULT_PROFILE"):
        if variable in environ and not _has_profile(environ, environ[variable]):
            yield variable, "there is no such profile"


def _has_profile(environ: Mapping[str, str], profile: str) -> bool:
    config = sections(environ.get("AWS_CONFIG_FILE", "~/.aws/config")) or []
    credentials = sections(environ.get("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials")) or []
    named = [re.sub(r"""^profile\s+(["']?)(.*)\1$""", r"\2", section.strip()) for section in config]
    return profile in credentials or any(
        profile == name and (section != name or name == "default") for section, name in zip(config, named, strict=True)
    )
