"""The program `pas`: its commands, each loaded only when it runs, and how errors become lines and exit codes."""

import sys
from collections.abc import Sequence

from cyclopts import App, CycloptsError, Group

from app.cli.exits import Ended, Exit
from app.cli.streams import Unwritable, tell

TALKING = Group("Commands that talk to a service", sort_key=1)
BEING = Group("Commands that are the service, or work beside it", sort_key=2)
OTHERS = Group("Others", sort_key=3)

SERVICE_COMMANDS = {
    "serve": "run the service: REST and command loop in one process, or in several",
    "migrate": "bring the database to the newest migration",
    "check-config": "check settings, archive types and schemas, by default without connecting to anything",
    "dev-token": "print a bearer token for the embedded service",
    "verify": "read back what is stored and compare it with the database",
}
"""Only shown and completed here; `app.__main__` hands them to `app.service_commands` before."""

_COMMANDS = {
    "backfill": ("app.cli.backfill:app", "Submit backfill jobs and read their reports, as jeap-cli does."),
    "jobs": ("app.cli.jobs:app", "Look at backfill jobs, follow them, act on them."),
    "artifacts": ("app.cli.artifacts:app", "Search what is archived, look at it, get it."),
    "metadata": ("app.cli.metadata:app", "Look at metadata keys, and at runs that fill them."),
    "evidence": ("app.cli.evidence:app", "Export the proof of a job, and check it without the service."),
    "audit": ("app.cli.audit:app", "Look at the audit log, and compare it with what was signed."),
    "reconcile": ("app.cli.reconcile:reconcile", "Compare a list of references with the archive; submit the gaps."),
    "login": ("app.cli.login:login", "Log in to the service, once."),
    "logout": ("app.cli.login:logout", "Forget the login."),
    "whoami": ("app.cli.login:whoami", "Show who you are to the service."),
}


def program() -> App:
    app = App(
        name="pas",
        help="Process Archive Service: archives the data of business processes, and backfills what was missed.",
        help_epilogue="Try it: `pas serve --embedded`, then `export PAS_URL=http://127.0.0.1:8080` and "
        "`PAS_TOKEN=$(pas dev-token) pas jobs list`. Exit codes: 0 well, 1 refused or failed, 2 wrong usage, "
        "3 references failed, 130 Ctrl-C.",
        help_format="plaintext",
        version=_version,
        suppress_keyboard_interrupt=False,
    )
    app["--help"].group = OTHERS
    app["--version"].group = OTHERS
    for name, (place, about) in _COMMANDS.items():
        app.command(place, name=name, help=about, group=TALKING)
    for name, about in SERVICE_COMMANDS.items():
        app.command(_elsewhere, name=name, help=about[0].upper() + about[1:] + ".", group=BEING)
    app.register_install_completion_command(
        group=OTHERS, help="Install completion for bash, zsh or fish (for the shell that runs)."
    )
    return app


def _version() -> str:
    from importlib.metadata import version  # takes a sixth of the time that help has

    return f"pas {version('process-archive-service')}"


def _elsewhere(*_words: str) -> None:
    raise AssertionError("app.__main__ runs the commands of the service")


def main(words: Sequence[str]) -> int:
    """Runs a command and returns the exit code. Unexpected errors are raised."""
    try:
        return _run(words)
    except Unwritable as unwritable:  # found while something else was told
        return _told(unwritable)


def _told(ended: Ended) -> int:
    for line in ended.lines:
        tell(line)
    return ended.code


def _run(words: Sequence[str]) -> int:
    app = program()
    if not words:
        app.help_print([], console=app.error_console)
        return Exit.USAGE
    try:
        result = app(list(words), exit_on_error=False, print_error=False, result_action="return_value")
        sys.stdout.flush()
        return int(result or Exit.WELL)
    except CycloptsError as error:
        tell(f"Error: {str(error).strip()}")
        tell(f"Help: {' '.join(['pas', *_command_words(words)])} --help")
        return Exit.USAGE
    except Ended as ended:
        return _told(ended)
    except KeyboardInterrupt:
        return Exit.INTERRUPTED


def _command_words(words: Sequence[str]) -> list[str]:
    """The words that name a command: those before the first option or value."""
    found: list[str] = []
    app = program()
    for word in words[:2]:
        if word.startswith("-") or word not in app:
            break
        found.append(word)
        app = app[word]
    return found
