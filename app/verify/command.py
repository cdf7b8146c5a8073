"""The command `pas verify`: runs a verification with progress, signals and exit code."""

import asyncio
import contextlib
import signal
from collections.abc import Callable, Iterator
from enum import IntEnum
from typing import TextIO

from app.db.database import Database
from app.domain.errors import Unavailable
from app.objectstore import ObjectStore
from app.verify.findings import Report
from app.verify.progress import Progress, StateFile
from app.verify.run import NoSuchJob, Options, Steering, Verification

SAVE_EVERY = 2.0
"""Seconds between two saves of the progress: so much work is repeated after a SIGKILL."""

TELL_EVERY = 10.0
"""Seconds between two progress lines."""


class VerifyExit(IntEnum):
    """The exit codes. After a signal the code is 128 plus the signal's number."""

    WELL = 0
    FINDINGS = 1
    USAGE = 2
    UNAVAILABLE = 3


async def verify(
    database: Database,
    objects: ObjectStore,
    options: Options,
    state: StateFile,
    report: Report,
    err: TextIO,
) -> int:
    """Returns the exit code, which also covers findings before an interruption. Raises StateError."""

    def note(text: str) -> None:
        err.write(f"pas: {text}\n")
        err.flush()

    progress = state.load() if options.resume else None
    if options.resume:
        note("begins at the start: no progress was kept" if progress is None else f"goes on from {state.path}")
    progress = progress or Progress()
    state.begin(progress)
    stop = asyncio.Event()
    steering = Steering(lambda: state.save(progress), stop, note)
    verification = Verification(database, objects, options, progress, report, steering)
    with _signals(stop) as received:
        ticking = asyncio.create_task(_tick(verification, progress, state, note))
        try:
            complete = await verification.run()
        except NoSuchJob as error:
            state.remove()
            note(str(error))
            return VerifyExit.USAGE
        except Unavailable as error:
            state.save(progress)
            note(f"{error}; goes on with --resume")
            return VerifyExit.UNAVAILABLE
        except Exception:
            state.save(progress)
            raise
        finally:
            ticking.cancel()
            await asyncio.wait({ticking})
    if not complete:
        state.save(progress)
        note(f"interrupted after {progress.counts['tasks']} tasks; goes on with --resume")
        return 128 + (received[0] if received else signal.SIGTERM)
    report.summary(progress.counts, stored=options.stored, unknown=options.unknown)
    state.remove()
    return VerifyExit.FINDINGS if progress.counts.findings else VerifyExit.WELL


async def _tick(verification: Verification, progress: Progress, state: StateFile, note: Callable[[str], None]) -> None:
    shown_after = 0.0
    while True:
        await asyncio.sleep(SAVE_EVERY)
        try:
            state.save(progress)
        except OSError as error:  # the disk may have room again later
            note(f"progress is not kept: {error}")
        shown_after += SAVE_EVERY
        if shown_after >= TELL_EVERY:
            shown_after = 0.0
            counts = progress.counts
            note(
                f"{counts['tasks']} tasks and {counts['versions']} listed versions looked at, "
                f"{verification.bytes_read} bytes read, {counts.findings} findings"
            )


@contextlib.contextmanager
def _signals(stop: asyncio.Event) -> Iterator[list[int]]:
    """The first signal stops in good order; a second one has its default effect."""
    loop = asyncio.get_running_loop()
    received: list[int] = []
    numbers = (signal.SIGTERM, signal.SIGINT)

    def ask(number: int) -> None:
        received.append(number)
        stop.set()
        for each in numbers:
            loop.remove_signal_handler(each)

    for number in numbers:
        loop.add_signal_handler(number, ask, number)
    try:
        yield received
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
