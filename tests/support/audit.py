"""The audit log in tests of something else: its comparison with the checkpoints found nothing."""

from collections.abc import Sequence


async def nothing_found() -> Sequence[str]:
    return ()
