"""Follows a job: each event is the job as `GET /api/jobs/{job_id}` shows it."""

from app.api.http.event_streams import Followed
from app.api.jobs.models import JobView
from app.domain.jobs import JobState
from app.jobs import control


def _news(view: control.JobStatus) -> tuple[object, ...]:
    """The part that must differ for a new event. Rate and estimated end change all the time, so only whether the rate
    is 0 counts."""
    actions, retries = tuple(view.actions), tuple(view.retries)
    return view.job, view.without_data, view.without_data_at, actions, retries, view.rate == 0


JOB: Followed[control.JobStatus] = Followed(
    key=lambda view: view.job.id,
    state=lambda view: view.job.state,
    ended=JobState.COMPLETED,
    data=lambda view: JobView.of(view).model_dump_json(by_alias=True),
    news=_news,
)
