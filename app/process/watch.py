"""Watches the components that the service needs: reports problems, and tells when work may begin."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping

from app.domain.errors import Unavailable
from app.domain.readiness import Readiness

SOON = 2.0
"""Seconds between two probes of a component that was not seen yet or is not available."""

LATER = 5.0
"""Seconds between two probes of a component that is available; work notices an outage earlier."""

LOOK = 20.0
"""Seconds that a probe of a component may take once it was seen; the first probe may migrate a large database."""

log = logging.getLogger(__name__)

Probe = Callable[[], Awaitable[None]]
"""Returns when the component is available; raises Unavailable with the reason."""


class Watch:
    """One loop for each component. `seen(component)` waits until the component was available for the first time.

    A probe that raises `refusal` ends the watch. Any other exception of a probe is reported, and the probe is repeated.
    """

    def __init__(
        self,
        readiness: Readiness,
        probes: Mapping[str, Probe],
        *,
        refusal: type[Exception] | tuple[()] = (),
        soon: float = SOON,
    ) -> None:
        self._readiness = readiness
        self._refusal = refusal
        self._probes = probes
        self._soon = soon
        self._seen = {component: asyncio.Event() for component in probes}

    async def run(self) -> None:
        """Runs until it is cancelled. Raises the refusal of a probe."""
        async with asyncio.TaskGroup() as tasks:
            for component, look in self._probes.items():
                tasks.create_task(self._watch(component, look))

    async def seen(self, stop: asyncio.Event, *components: str) -> bool:
        """Waits until each of these components was available once; returns False when `stop` is set before."""

        async def all_seen() -> None:
            for component in components:
                await self._seen[component].wait()

        async def stopped() -> None:
            await stop.wait()

        waiting, stopping = asyncio.create_task(all_seen()), asyncio.create_task(stopped())
        try:
            await asyncio.wait({waiting, stopping}, return_when=asyncio.FIRST_COMPLETED)
            return waiting.done() and not stop.is_set()
        finally:
            waiting.cancel()
            stopping.cancel()

    async def _watch(self, component: str, look: Probe) -> None:
        while True:
            in_the_way = None
            try:
                async with asyncio.timeout(LOOK if self._readiness.has_seen(component) else None):
                    await look()
            except Unavailable as outage:
                if outage.component == component:
                    self._failed(component, outage.reason)
                else:  # named by its own loop
                    in_the_way = self._seen.get(outage.component)
            except TimeoutError:
                self._failed(component, f"no answer within {LOOK:.0f} s")
            except self._refusal:
                raise
            except Exception as error:  # ours or a library's: no reason to end what may work again in two seconds
                reason = f"looking at it failed unexpectedly ({type(error).__name__}); the log has more"
                if self._readiness.probe_failed(component, reason):
                    log.exception("%s could not be looked at", component)
            else:
                if self._readiness.probe_succeeded(component):
                    log.info("%s is as it should be", component)
                self._seen[component].set()
            is_well = self._seen[component].is_set() and component not in self._readiness.problems
            if in_the_way is None or in_the_way.is_set():
                await asyncio.sleep(LATER if is_well else self._soon)
            else:  # a database that is being migrated, mostly: no longer than it takes
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(in_the_way.wait(), self._soon)

    def _failed(self, component: str, reason: str) -> None:
        if self._readiness.probe_failed(component, reason):
            log.warning("%s is not as it should be: %s", component, reason)
