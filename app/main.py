"""The service as one process: HTTP edge, command loop and relay in one event loop, from start to clean stop."""

import asyncio
import contextlib
import logging
import resource
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import uvicorn
from fastapi import FastAPI
from typing_extensions import override

from app.api import no_backfill, no_page, well_known
from app.api.archive_types import endpoints as archive_types
from app.api.artifacts import endpoints as artifacts
from app.api.audit import endpoints as audit
from app.api.edge import Edge, put_edge
from app.api.evidence import endpoints as evidence
from app.api.health import exposition, health_routes
from app.api.http.connections import bounded_http
from app.api.http.head_as_get import HeadAsGet
from app.api.http.measure import Measured
from app.api.http.problems import install
from app.api.http.slow_bodies import BodiesInTime
from app.api.jobs import control, failures, preflight, references, submit_and_report
from app.api.reconcile import endpoints as reconcile
from app.api.runs import endpoints as runs
from app.api.system import endpoints as system
from app.domain.errors import StartRefused
from app.domain.readiness import Readiness
from app.process.address import bind, say
from app.process.check_config import is_archiving
from app.process.member import Member
from app.process.siblings import Siblings
from app.process.stop import Stopping, on_stop_signals
from app.process.wiring import Service, open_service
from app.settings.model import Settings
from app.telemetry.traces import configure_traces, shutdown_traces
from app.ui.addresses import START
from app.ui.page import Page, put_page
from app.ui.router import ROUTERS

KEEP_ALIVE = 65
"""Seconds that an idle connection stays open: longer than the usual load balancer's 60."""

CLOSE = 2
"""Seconds that open requests get to end once everything else has stopped."""

FILES = 4096
"""Open files that the service needs: 1,000 connections of clients, and those to sources, broker, database and store."""

log = logging.getLogger(__name__)


def create_app(
    context_path: str,
    readiness: Readiness,
    edge: Edge | None,
    page: Page | None = None,
    *,
    submits: bool = True,
    metrics_of_all: Callable[[], Awaitable[bytes]] | None = None,
) -> FastAPI:
    """The HTTP edge. Without a service behind it (nothing is archived) only health and metrics answer.

    `submits`: whether backfill is enabled; else there is nothing to submit and no report. `metrics_of_all`: of all
    processes, where this is one of several.
    """
    app = FastAPI(
        title="Process Archive Service",
        version="1",
        summary="Archives the data of business processes for years, provably.",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,  # an address that is not there is 404 for everybody, as a problem
    )
    app.root_path = context_path  # as an argument FastAPI warns about it
    install(app)
    app.add_middleware(BodiesInTime)
    app.add_middleware(Measured)
    app.add_middleware(HeadAsGet)  # the last one is the first that a request meets
    app.include_router(health_routes(readiness, metrics_of_all))
    if edge is not None:
        put_edge(app, edge)
        for room in (
            *((submit_and_report, preflight) if submits else (no_backfill,)),
            control,
            failures,
            references,
            archive_types,
            artifacts,
            runs,
            evidence,
            system,
            reconcile,
            audit,
            well_known,
        ):
            app.include_router(room.router)
    if page is None:
        app.include_router(no_page.router)
    else:
        put_page(app, page)
        for router in ROUTERS:
            app.include_router(router)
    return app


async def serve(settings: Settings, *, migrate: bool, member: Member | None = None) -> None:
    """Runs until SIGTERM or SIGINT. Raises StartRefused, or the exception that ended the service.

    `member`: what the parent gave this process, where it is one of several.
    """
    stop = _stop(member)
    configure_traces(settings.backfill.service_name or "pas")
    _allow_connections()
    with bind(settings.server.address, settings.server.port) if member is None else member.take() as listener:
        await stop.run(_serve(settings, listener, stop, migrate=migrate, member=member))
    await asyncio.to_thread(shutdown_traces)


def _stop(member: Member | None) -> Stopping:
    """Takes the signals from now on.

    One of several processes stops in the same way once its parent has gone. It is killed by its parent where it shall
    end at once: who stops all processes of a service may send it the signal that its parent sends it too.
    """
    stop = Stopping(hurries=member is None)
    on_stop_signals(stop.ask)
    if member is not None:
        member.watch_parent(lambda: stop.ask("the parent process has gone"))
    return stop


async def _serve(
    settings: Settings, listener: socket.socket, stop: Stopping, *, migrate: bool, member: Member | None
) -> None:
    async with _service(settings, migrate=migrate) as service:
        readiness = Readiness(()) if service is None else service.readiness

        def unready() -> None:
            readiness.stopping = True

        stop.started(unready)
        edge, page = (None, None) if service is None else (service.edge, service.page)
        path = settings.server.context_path
        siblings = None if member is None else Siblings(member, lambda: exposition(readiness))
        app = create_app(
            path,
            readiness,
            edge,
            page,
            submits=settings.backfill.enabled,
            metrics_of_all=None if siblings is None else siblings.metrics,
        )
        server = _server(app, None if page is None else f"{path}{START}", say if member is None else member.tell)
        async with contextlib.nullcontext() if siblings is None else siblings.answering():
            http = asyncio.create_task(server.serve([listener]))
            try:
                await _run(service, http, stop.asked)
            finally:
                unready()
                server.should_exit = True
                await asyncio.wait({http}, timeout=CLOSE)
                for request in tuple(server.server_state.tasks):
                    request.cancel()  # ours to do: uvicorn calls it an error
                await asyncio.wait({http}, timeout=3)


def _allow_connections() -> None:
    """Raises the limit of open files to what the connections need; most systems that allow 1,024 allow more on
    request."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


async def _run(service: Service | None, http: "asyncio.Task[None]", stop: asyncio.Event) -> None:
    """Runs both until `stop`, or until one of them ends."""
    work = asyncio.ensure_future(stop.wait() if service is None else service.run(stop))
    try:
        await asyncio.wait({work, http}, return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            work.result()
        elif http.done():
            http.result()
            raise StartRefused("the HTTP server ended")
    finally:
        if not work.done():
            work.cancel()
            await asyncio.wait({work})


@contextlib.asynccontextmanager
async def _service(settings: Settings, *, migrate: bool) -> AsyncIterator[Service | None]:
    if not is_archiving(settings):
        log.info("backfill is not enabled and no archive type is live: only health and metrics are served")
        yield None
        return
    async with open_service(settings, migrate=migrate) as service:
        yield service


class _Server(uvicorn.Server):
    """Reports the address where it listens, and leaves signals to us: health must answer while work is put back.

    `page` is the path of the page; None where there is none. `say` gets the lines for a person.
    """

    page: str | None = None
    say: Callable[[str], None]

    @override
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            host, port = self.servers[0].sockets[0].getsockname()[:2]
            address = f"http://{f'[{host}]' if ':' in host else host}:{port}"
            page = "" if self.page is None else f"the page is at {address}{self.page}\n"
            self.say(f"listening on {address}\n{page}")

    @contextlib.contextmanager
    @override
    def capture_signals(self) -> Iterator[None]:
        yield


def _server(app: FastAPI, page: str | None, say: Callable[[str], None]) -> _Server:
    server = _Server(
        uvicorn.Config(
            app,
            http=bounded_http(),
            ws="none",
            log_config=None,
            access_log=False,
            lifespan="off",
            workers=1,  # else uvicorn takes it from WEB_CONCURRENCY
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE,
            timeout_graceful_shutdown=CLOSE + 2,
        )
    )
    server.page, server.say = page, say
    return server
