"""Who submits a job: the caller of a request and its trace."""

from app.api.auth.callers import Caller
from app.jobs.submit import Submitter


def submitter_of(caller: Caller, traceparent: str) -> Submitter:
    return Submitter(caller.name, caller.ext_id, caller.subject, caller.called, traceparent, caller.client)
