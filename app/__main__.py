"""`pas`: one entry point that imports only what the command needs."""

import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

SERVICE_COMMANDS = frozenset({"serve", "migrate", "check-config", "dev-token", "verify"})
"""They load the service; all others talk to one, and answer at once."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit code: 0 well, 1 refused (the reason on stderr), 2 wrong usage; commands may have more."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    try:
        from app.cli.streams import standard_streams

        with standard_streams(strict=words[:1] != ["serve"]):
            return _run(words)
    except KeyboardInterrupt:  # before the command itself expects it
        return 130


def _run(words: list[str]) -> int:
    if words and (words[0] in SERVICE_COMMANDS or _is_beside(words)):
        with _stops(words[0]):
            from app.service_commands import main as run_service_command

            return run_service_command(words)
    from app.cli.program import main as run_command

    return run_command(words)


def _stops(command: str) -> AbstractContextManager[None]:
    """The service ends well whenever it is asked to, and loading it takes seconds."""
    if command != "serve":
        return nullcontext()
    from app.process.stop_signals import ending_while_it_loads

    return ending_while_it_loads()


def _is_beside(words: Sequence[str]) -> bool:
    """Whether a command of an auditor reads database or store itself. Its help needs neither."""
    if "--help" in words or "-h" in words:
        return False
    return words[:2] == ["audit", "verify"] or (words[:2] == ["evidence", "verify"] and "--objects" in words)


if __name__ == "__main__":
    sys.exit(main())
