"""The address of the service."""

import socket

import pytest

from app.domain.errors import StartRefused
from app.process.address import bind


def test_a_free_port_is_bound_and_nothing_is_accepted_yet() -> None:
    with bind("127.0.0.1", 0) as listener, socket.socket() as client:
        assert client.connect_ex(listener.getsockname()) != 0


def test_an_address_that_is_taken_is_named() -> None:
    with bind("127.0.0.1", 0) as taken:
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(StartRefused, match=f"cannot listen on 127.0.0.1 port {port}: "):
            bind("127.0.0.1", port)
