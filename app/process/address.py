"""The address of the service: bound before anything else is opened; told to a person once it listens."""

import socket

from app.domain.errors import StartRefused


def bind(host: str, port: int) -> socket.socket:
    """A socket that is bound to this address and does not listen yet. Raises StartRefused."""
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except (OSError, UnicodeError) as error:  # the latter for what cannot be the name of a host
        listener.close()
        reason = error.strerror if isinstance(error, OSError) else "not the name of a host"
        raise StartRefused(f"cannot listen on {host} port {port}: {reason}") from error
    return listener


def say(text: str) -> None:
    """Prints whole lines for a person."""
    print(text, end="", flush=True)  # noqa: T201
