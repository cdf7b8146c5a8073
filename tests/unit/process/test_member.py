"""One of several processes, and its parent."""

import asyncio
import os
import socket
from pathlib import Path

import pytest

from app.process.member import Member


def member(listener: int = 3, lifeline: int = 4, report: int = 5) -> Member:
    return Member(2, 3, listener, lifeline, report, Path("/tmp/with:colon"))


def test_a_member_is_handed_over_as_one_word_of_the_command_line() -> None:
    assert Member.of(str(member())) == member()
    assert member().others == (1, 3)


@pytest.mark.parametrize("text", ["", "1:2", "1:2:3:4:x:/tmp"])
def test_what_is_no_member_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"unpack|literal"):
        Member.of(text)


def test_the_socket_and_the_pipes_go_no_further() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        inherited = [os.dup(bound.fileno()), *os.pipe()]
        for each in inherited:
            os.set_inheritable(each, True)
        with member(*inherited).take() as listener:
            assert listener.getsockname() == bound.getsockname()
            assert not any(map(os.get_inheritable, inherited))
        for each in inherited[1:]:
            os.close(each)


def test_the_parent_is_told_once_that_it_listens() -> None:
    ours, its = os.pipe()
    member(report=its).tell("listening on http://127.0.0.1:1\n")
    with os.fdopen(ours) as told:
        assert told.read() == "listening on http://127.0.0.1:1\n", "and nothing can follow"


def test_a_parent_that_has_gone_is_told_nothing() -> None:
    ours, its = os.pipe()
    os.close(ours)
    member(report=its).tell("listening")


async def test_the_end_of_the_parent_is_noticed_once() -> None:
    lifeline, held = os.pipe()
    process, gone = member(lifeline=lifeline), asyncio.Event()
    calls: list[bool] = []

    def ended() -> None:
        calls.append(True)
        gone.set()

    process.watch_parent(ended)
    await asyncio.sleep(0.01)
    assert process.has_parent
    assert not calls
    os.close(held)
    await asyncio.wait_for(gone.wait(), 5)
    await asyncio.sleep(0.01)
    assert not process.has_parent
    assert len(calls) == 1
    os.close(lifeline)
