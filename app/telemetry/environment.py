"""Variables of other products that the libraries of this process would stumble over: taken out, and named once.

Nothing is imported here that reads the environment itself: this runs before anything else is loaded.
"""

import os
import re
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from configparser import Error as NotIni
from configparser import RawConfigParser
from importlib.metadata import entry_points
from math import isfinite
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

Problem = str | None
Check = Callable[[str], Problem]
"""Why a value cannot be used, None where it can. The value is never said: headers and URLs hold secrets."""


class PassedOver(NamedTuple):
    variable: str
    reason: str

    def __str__(self) -> str:
        return f"{self.variable} ({self.reason})"


def pass_over(environ: MutableMapping[str, str]) -> list[PassedOver]:
    """Removes what cannot be used from the environment; each variable with the reason, in the order of their names.

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


def _one_of(*words: str) -> Check:
    return lambda value: None if value.strip().lower() in words else f"not one of {', '.join(words)}"


def _several_of(*words: str) -> Check:
    return lambda value: (
        None
        if {word.strip().lower() for word in value.split(",")} <= set(words)
        else f"only {', '.join(words)} are known"
    )


def _number(least: int, *, whole: bool = False) -> Check:
    def check(value: str) -> Problem:
        try:
            number = int(value) if whole else float(value)
        except ValueError:
            return "not a whole number" if whole else "not a number"
        return None if isfinite(number) and number >= least else f"not a number from {least} on"

    return check


def _positive(value: str) -> Problem:
    return _number(0)(value) or ("not more than 0" if float(value) == 0 else None)


def _at_most_one(value: str) -> Problem:
    return _number(0)(value) or ("more than 1" if float(value) > 1 else None)


def _http_url(value: str) -> Problem:
    try:
        parts = urlsplit(value.strip())
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    return None if usable else "not an absolute http or https URL"


def _file(value: str) -> Problem:
    try:
        with Path(value).open("rb"):
            return None
    except (OSError, ValueError) as error:
        return f"the file cannot be read: {getattr(error, 'strerror', None) or 'no path'}"


def _writable(value: str) -> Problem:
    path = Path(value)
    there = path if path.exists() else path.parent
    return None if os.access(there, os.W_OK) and not path.is_dir() else "the file cannot be written"


def _ini_file(value: str) -> Problem:
    return "the file is not valid" if _sections(value) is None else None


def _pairs(value: str) -> Problem:
    return None if all("=" in pair for pair in value.split(",") if pair.strip()) else "not key=value, divided by commas"


def _header_pairs(value: str) -> Problem:
    return "has a line break or control character" if re.search(r"[\x00-\x1f\x7f]", value.strip()) else _pairs(value)


def _installed(group: str, *more: str) -> Check:
    """Names of components that packages bring along."""

    def check(value: str) -> Problem:
        names = {name.strip() for name in value.split(",") if name.strip()} - set(more)
        return None if names <= {entry.name for entry in entry_points(group=group)} else "names what is not installed"

    return check


def _never(reason: str) -> Check:
    return lambda _value: reason


_BOOLEAN = _one_of("true", "false")
_COUNT, _FROM_ONE = _number(0, whole=True), _number(1, whole=True)
_NO_PROVIDER = _never("this service records and exports its spans itself")
_NO_PROCESSES = _never("this service is one process with metrics of its own")
_SAMPLERS = ("always_on", "always_off", "traceidratio")

_CHECKS: Mapping[str, Check] = {
    # OpenTelemetry: read when it is loaded, also where no spans are exported
    "OTEL_PROPAGATORS": _several_of("tracecontext", "baggage", "none"),
    "OTEL_PYTHON_CONTEXT": _one_of("contextvars_context"),
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
    "OTEL_TRACES_SAMPLER": _one_of(*_SAMPLERS, *(f"parentbased_{name}" for name in _SAMPLERS)),
    "OTEL_TRACES_SAMPLER_ARG": _at_most_one,
    "OTEL_RESOURCE_ATTRIBUTES": _pairs,
    "OTEL_EXPERIMENTAL_RESOURCE_DETECTORS": _installed("opentelemetry_resource_detector", "*"),
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
            "ENDPOINT": _http_url,
            "TIMEOUT": _positive,
            "COMPRESSION": _one_of("none", "gzip", "deflate"),
            "HEADERS": _header_pairs,
            "CERTIFICATE": _file,
            "CLIENT_KEY": _file,
            "CLIENT_CERTIFICATE": _file,
        }.items()
    },
    **dict.fromkeys(
        (
            "OTEL_PYTHON_EXPORTER_OTLP_HTTP_CREDENTIAL_PROVIDER",
            "OTEL_PYTHON_EXPORTER_OTLP_HTTP_TRACES_CREDENTIAL_PROVIDER",
        ),
        _installed("opentelemetry_otlp_credential_provider"),
    ),
    # prometheus_client: values in files of a directory, one for each process
    "PROMETHEUS_MULTIPROC_DIR": _NO_PROCESSES,
    "prometheus_multiproc_dir": _NO_PROCESSES,
    # uvicorn
    "WEB_CONCURRENCY": lambda value: None if value.strip() == "1" else "this service is one process; start more of it",
    # botocore
    **dict.fromkeys(
        ("AWS_MAX_ATTEMPTS", "AWS_METADATA_SERVICE_NUM_ATTEMPTS", "AWS_METADATA_SERVICE_TIMEOUT", "AWS_CSM_PORT"),
        _FROM_ONE,
    ),
    "AWS_RETRY_MODE": _one_of("legacy", "standard", "adaptive"),
    "AWS_DEFAULTS_MODE": _one_of("legacy", "standard", "cross-region", "in-region", "mobile", "auto"),
    "AWS_STS_REGIONAL_ENDPOINTS": _one_of("legacy", "regional"),
    "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE": _one_of("ipv4", "ipv6"),
    "AWS_EC2_METADATA_SERVICE_ENDPOINT": _http_url,
    "AWS_ENDPOINT_URL": _http_url,
    "AWS_ENDPOINT_URL_S3": _http_url,
    "AWS_ENDPOINT_URL_STS": _http_url,
    "AWS_ACCOUNT_ID_ENDPOINT_MODE": _one_of("preferred", "disabled", "required"),
    "AWS_CONFIG_FILE": _ini_file,
    "AWS_SHARED_CREDENTIALS_FILE": _ini_file,
    "AWS_PROFILE": lambda _value: None,  # beside the files: below
    "AWS_DEFAULT_PROFILE": lambda _value: None,
    # ssl of Python: notes the keys of all connections there
    "SSLKEYLOGFILE": _writable,
    # ruamel.yaml
    "RUAMEL_DEBUG": _number(0, whole=True),
    "YAMLDEBUG": _number(0, whole=True),
}


def _at_odds(environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """What is wrong together with another variable, or beside its default."""
    batch, queue = "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "OTEL_BSP_MAX_QUEUE_SIZE"
    if int(environ.get(batch, 512)) > int(environ.get(queue, 2048)):  # the defaults of the specification
        for variable in (batch, queue):
            if variable in environ:
                yield variable, f"{batch} is more than {queue}"
    for variable in ("AWS_PROFILE", "AWS_DEFAULT_PROFILE"):
        if variable in environ and not _has_profile(environ, environ[variable]):
            yield variable, "there is no such profile"


def _has_profile(environ: Mapping[str, str], profile: str) -> bool:
    config = _sections(environ.get("AWS_CONFIG_FILE", "~/.aws/config")) or []
    credentials = _sections(environ.get("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials")) or []
    named = [re.sub(r"""^profile\s+(["']?)(.*)\1$""", r"\2", section.strip()) for section in config]
    return profile in credentials or any(
        profile == name and (section != name or name == "default") for section, name in zip(config, named, strict=True)
    )


def _sections(file: str) -> list[str] | None:
    """Those of a file as botocore reads it, where one that cannot be opened counts as empty; None for one that is not
    valid."""
    parser = RawConfigParser()
    try:
        parser.read(Path(os.path.expandvars(file)).expanduser(), encoding="utf-8")
    except (NotIni, ValueError):
        return None
    except RuntimeError:  # `~somebody` who is nobody
        return []
    return parser.sections()
