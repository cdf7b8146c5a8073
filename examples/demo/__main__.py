"""The demonstration, `make demo`: archives every document of the example source with a service on embedded defaults.

Starts both on free loopback ports with a data directory of their own. With the command line, each command shown, it
looks at a job of all advisories and of two that the source does not have, sends and watches it, shows what failed and
the report; the same for one of versioned decrees. Then it adds a metadata path to the configuration, waits until the
values of what is archived are there, and searches by them; and a live archive type, one message of which it writes to
its topic. Stops both. Ends with 0 only where reports, stored objects,
events and values are what they must be.
"""

import json
import os
import signal
import sys
import tempfile
import time
from pathlib import Path
from types import FrameType

import httpx

from examples.demo.command_line import CommandLine, dev_token
from examples.demo.jobs import archive, jobs, wait_until_ready, without
from examples.demo.live import archive_message
from examples.demo.metadata import KEY, backfill_metadata
from examples.demo.processes import REPOSITORY, DemoFailed, running, tail

CONFIG = REPOSITORY / "config/application.yml"
ARCHIVE_TYPES = REPOSITORY / "config/archive-types.yml"
EXAMPLE_SOURCE = "http://127.0.0.1:8081"
"""Where the example configuration expects the source; the demonstration takes a free port instead."""


def main() -> int:
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    directory = _new_directory()
    begin = time.monotonic()
    print(
        f"starting the service on embedded defaults and an example source; their files: {_shown(directory)}/",
        flush=True,
    )
    try:
        with running("source", ["-m", "examples.source", "--port", "0"], directory) as source:
            service_command = ["-m", "app", "serve", "--config", str(CONFIG), "--port", "0"]
            service_command += ["--embedded", "--data-dir", str(directory)]
            with running("service", service_command, directory, _settings(directory, source)) as service:
                print(f"the service listens on {service}, the example source on {source}")
                _archive_all(service, directory)
    except DemoFailed as failure:
        print(f"\nthe demonstration failed: {failure}\nlogs and data: {_shown(directory)}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # whoever read our output has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        print(f"\ninterrupted; everything is stopped, logs and data: {_shown(directory)}", file=sys.stderr)
        return 130
    print(f"done in {time.monotonic() - begin:.1f} s, both are stopped; their logs are in {_shown(directory)}/")
    return 0


def _archive_all(service: str, directory: Path) -> None:
    todo = jobs()
    pas = CommandLine(service, dev_token(directory), directory)
    try:
        wait_until_ready(service)
    except httpx.HTTPError as error:
        raise DemoFailed(f"the service does not answer ({error!r})\n{tail(directory / 'service.log')}") from error
    for job in todo:
        archive(pas, job)
    backfill_metadata(pas, directory / ARCHIVE_TYPES.name, todo[0].succeeded, without(KEY))
    archive_message(pas, directory / ARCHIVE_TYPES.name, directory / "topics")
    succeeded = sum(job.succeeded for job in todo) + 1
    artifacts, events = _artifacts(directory), _events(directory)
    print(
        f"\nartifacts: {_shown(directory / 'objects')}/ ({len(artifacts)} with metadata, lock and schema beside them)"
    )
    print(f"events:    {_shown(directory / 'topics')}/*created.jsonl ({len(events)})")
    if len(artifacts) != succeeded or len(set(events)) != succeeded:
        raise DemoFailed(f"{succeeded} artifacts and as many events were expected")


def _settings(directory: Path, source: str) -> dict[str, str]:
    """Variables that send the example configuration to the source on its free port."""
    archive_types = directory / ARCHIVE_TYPES.name
    archive_types.write_text(ARCHIVE_TYPES.read_text().replace(EXAMPLE_SOURCE, source))
    return {
        "JEAP_PROCESSARCHIVE_CONFIGURATION_LOCATION": str(archive_types),
        "JEAP_SECURITY_OAUTH2_CLIENT_EXAMPLE_SOURCE_TOKEN_URI": f"{source}/oauth/token",
        "JEAP_PROCESSARCHIVE_LIVE_START": "earliest",
    }


def _artifacts(directory: Path) -> list[Path]:
    """The stored documents: `…/<system>/<schema>/<2 digits>/<hash>/v<version>/<version id>`."""
    found = (directory / "objects").glob("*/*/*/??/*/v*/*.json")
    return [path for path in found if path.with_suffix("").is_file()]


def _events(directory: Path) -> list[str]:
    """The idempotence ids of the events."""
    lines = [line for path in (directory / "topics").glob("*created.jsonl") for line in path.read_text().splitlines()]
    return [json.loads(line)["value"]["identity"]["idempotenceId"] for line in lines]


def _new_directory() -> Path:
    parent = REPOSITORY / ".pas"
    parent.mkdir(exist_ok=True)
    return Path(tempfile.mkdtemp(prefix=time.strftime("demo-%Y%m%d-%H%M%S-"), dir=parent))


def _shown(path: Path) -> str:
    return os.path.relpath(path)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
