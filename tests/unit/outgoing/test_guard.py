"""The protocol of a connection: what it knows of bytes that the event loop has not looked at yet."""

import asyncio
import socket
from collections.abc import Iterator

import pytest

from app.outgoing.guard import LARGEST_HEAD, AnswerState, GuardedHandler


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


async def connected(ours: socket.socket) -> GuardedHandler:
    loop = asyncio.get_running_loop()
    ours.setblocking(False)
    _, protocol = await loop.create_connection(lambda: GuardedHandler(loop), sock=ours)
    return protocol


async def test_bytes_that_wait_in_the_socket_are_seen_before_the_loop_reads_them(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    protocol = await connected(pair[0])
    assert not protocol.readable()
    pair[1].send(b"HTTP/1.1 200 OK\r\n\r\n")
    assert protocol.readable()
    assert not protocol.spoiled
    await asyncio.sleep(0.01)
    assert protocol.spoiled
    assert not protocol.is_connected()


async def test_an_end_that_the_loop_has_not_read_yet_is_seen(pair: tuple[socket.socket, socket.socket]) -> None:
    protocol = await connected(pair[0])
    pair[1].shutdown(socket.SHUT_WR)
    assert protocol.readable()
    await asyncio.sleep(0.01)
    assert not protocol.spoiled
    assert protocol.should_close


async def test_every_way_to_cut_an_answer_into_two_gives_the_same_answer() -> None:
    loop = asyncio.get_running_loop()
    reply = b"HTTP/1.1 103 Early\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbodyHTTP/1.1 200 OK\r\n\r\n"
    for cut in range(len(reply)):
        protocol = GuardedHandler(loop)
        protocol.set_response_params(auto_decompress=False, read_until_eof=True)
        protocol.data_received(reply[:cut])
        protocol.data_received(reply[cut:])
        hint, _ = await protocol.read()
        message, body = await protocol.read()
        assert (hint.code, message.code, body.is_eof(), protocol.spoiled) == (103, 200, True, True)
        assert body.read_nowait() == b"body"
        assert len(protocol) == 0


@pytest.mark.parametrize("over", [0, 1])
async def test_the_head_may_be_so_large_however_it_comes(over: int) -> None:
    start = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX: "
    head = start + b"x" * (LARGEST_HEAD + over - len(start) - 4) + b"\r\n\r\n"
    for size in (len(head), 4096, 7):
        protocol = GuardedHandler(asyncio.get_running_loop())
        protocol.set_response_params()
        for at in range(0, len(head), size):
            protocol.data_received(head[at : at + size])
        assert protocol._state is (AnswerState.HEAD if over else AnswerState.IDLE)
        assert (protocol.exception() is not None) is bool(over)
