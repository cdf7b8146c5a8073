"""The objects that endpoints call: one typed value, made at the start, and the aliases that endpoints ask for."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, FastAPI, Request, Security
from fastapi.security import HTTPBearer

from app.api.auth.callers import Authenticator, Caller
from app.api.http.bodies import Uploads
from app.api.http.concurrency import ConcurrencyLimit
from app.api.http.event_streams import EventStreams
from app.api.http.query import check_query
from app.api.submission.expected_reader import ExpectedReader
from app.api.submission.reader import YamlReader
from app.archiver.preflight import Preflights
from app.evidence.audit_log import AuditLog
from app.evidence.proofs import Proofs
from app.evidence.reconcile import Reconciliation
from app.evidence.signer import SigningKeys
from app.jobs.archive_types import ArchiveTypes
from app.jobs.control import JobControl
from app.jobs.failures import FailedReferences
from app.jobs.merged_report import MergedReports
from app.jobs.plans import Plans
from app.jobs.references import JobReferences
from app.jobs.report import Reports
from app.jobs.retry import Retries
from app.jobs.submit import Submissions
from app.metadata.content import Contents
from app.metadata.control import RunControl
from app.metadata.search import Artifacts
from app.system.overview import Overview


@dataclass(frozen=True, slots=True)
class Edge:
    """The services that endpoints call, and the limits of their requests."""

    authenticator: Authenticator
    submissions: Submissions
    reports: Reports
    merged_reports: MergedReports
    job_control: JobControl
    retries: Retries
    failed: FailedReferences
    references: JobReferences
    preflights: Preflights
    plans: Plans
    archive_types: ArchiveTypes
    artifacts: Artifacts
    contents: Contents
    run_control: RunControl
    overview: Overview
    signing: SigningKeys
    proofs: Proofs
    audit_log: AuditLog
    reconciliation: Reconciliation
    expected_reader: ExpectedReader
    yaml_reader: YamlReader
    uploads: Uploads
    event_streams: EventStreams
    changes: ConcurrencyLimit
    """The limit of requests that change whole jobs."""
    preflight_turns: ConcurrencyLimit
    inclusion_turns: ConcurrencyLimit
    reconciles: ConcurrencyLimit
    """The limit of lists that are reconciled: each holds a temporary file, and a process while it is read."""
    max_references: int
    max_attempts: int
    """Attempts of a job whose submission does not say how many."""
    issuers: tuple[str, ...]
    """The issuers whose tokens are accepted."""
    cli_client_id: str | None
    """Client with which the command line logs in."""


def put_edge(app: FastAPI, edge: Edge) -> None:
    """Gives `app` the edge that its endpoints get."""
    app.state.edge = edge


async def edge_of(request: Request) -> Edge:
    edge: Edge = request.app.state.edge
    return edge


TheEdge = Annotated[Edge, Depends(edge_of)]


def require(resource: str, operation: str, *, names: bool = True) -> Callable[..., Awaitable[Caller]]:
    """A dependency that gives the Caller when it has the role, and refuses unknown names in the query.

    `names=False` is for an endpoint whose parameters FastAPI does not know: it calls `name_mistakes` itself.

    FastAPI reads a body that a route declares before it calls any dependency. So a route with a body takes the
    `Request` and reads the body itself: without the role nothing of the body is read.
    """

    async def caller(request: Request, edge: TheEdge, _shown: Annotated[object, Security(_bearer)]) -> Caller:
        caller = await edge.authenticator.caller(request.headers.getlist("authorization"))
        edge.authenticator.check(caller, resource, operation)
        if names:  # only now: a stranger learns nothing; and before anything of a body is read
            check_query(request)
        return caller

    return caller


_bearer = HTTPBearer(scheme_name="bearer", bearerFormat="JWT", auto_error=False)
"""For the OpenAPI document only."""

MayReadJobs = Annotated[Caller, Depends(require("backfilljob", "read"))]
MayWriteJobs = Annotated[Caller, Depends(require("backfilljob", "write"))]
MayReadArtifacts = Annotated[Caller, Depends(require("artifact", "read"))]
MaySearchArtifacts = Annotated[Caller, Depends(require("artifact", "read", names=False))]
MayReadAudit = Annotated[Caller, Depends(require("audit", "read"))]
