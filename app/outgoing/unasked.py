"""Remembers, for the life of the process, which servers sent bytes that no request asked for; logs each once."""

import logging

from app.telemetry import metrics

log = logging.getLogger(__name__)

WARNING = (
    "%s %s sent bytes that no request had asked for. Each request to it gets a connection of its own from now on, "
    "until this process is restarted. Look there for a server or a proxy that answers twice, that answers before it is "
    "asked, or whose answers are longer than their Content-Length says"
)


class Unasked:
    """The origins (`https://host:port`) of one component whose connections are not used a second time.

    `component` is the word of log and metric: `source`, `token endpoint`, `objectstore`.
    """

    def __init__(self, component: str) -> None:
        self.origins: set[str] = set()
        self._component = component
        self._counter = metrics.UNASKED_ANSWERS.labels(component)

    def heard(self, origin: str) -> None:
        """Counts such bytes; the first time for this origin writes one line to the log."""
        self._counter.inc()
        if origin not in self.origins:
            self.origins.add(origin)
            log.warning(WARNING, self._component, origin)
