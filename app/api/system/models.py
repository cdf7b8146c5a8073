"""The JSON of the state of the service."""

from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from app.api.shapes.moments import Moment
from app.domain.readiness import ComponentState
from app.domain.system import KnownProcess, SourceState, SystemState

_CAMEL = ConfigDict(alias_generator=to_camel, populate_by_name=True)

OF_DATABASE = "null while the database does not answer"


class ComponentView(BaseModel):
    """A component that the service needs, as the answering process sees it."""

    name: Annotated[
        str,
        Field(
            description="`database`, `broker`, `objectstore`, `issuer`, and all else that work waits for (`topic …`)"
        ),
    ]
    well: bool
    since: Annotated[
        Moment, Field(description="since when `well` has its value; at the earliest the start of the process")
    ]
    reason: Annotated[str | None, Field(description="why it is not well, as on `/health/ready`")]

    @classmethod
    def of(cls, condition: ComponentState) -> "ComponentView":
        return cls(name=condition.name, well=condition.well, since=condition.since, reason=condition.reason)


class SourceView(BaseModel):
    """A source together with one OAuth client, as the answering process sees it. Each process limits its own
    requests."""

    model_config = _CAMEL

    name: Annotated[str, Field(description="its archive types, `<message type>` or `<message type>/<config id>`")]
    client: Annotated[str | None, Field(description="the OAuth client; null: no token is sent")]
    limit: Annotated[int, Field(description="requests that it gets at the same time, of all its clients together")]
    in_flight: Annotated[int, Field(description="requests under way, of all its clients together")]
    rest_until: Annotated[
        Moment | None, Field(description="no request is sent before; null: a request may be sent now")
    ]
    last_failure: Annotated[
        str | None,
        Field(
            description="cause of the last request without an answer about its record: no connection, no token, a "
            "timeout, 429, 5xx. It stays when later requests succeed"
        ),
    ]
    last_failure_at: Moment | None

    @classmethod
    def of(cls, source: SourceState) -> "SourceView":
        return cls(
            name=source.name,
            client=source.client,
            limit=source.limit,
            in_flight=source.in_flight,
            rest_until=source.rest_until,
            last_failure=source.last_failure,
            last_failure_at=source.last_failure_at,
        )


class WorkView(BaseModel):
    """Commands of jobs and of metadata runs: `due` → broker → `inHand` → `inFlight`."""

    model_config = _CAMEL

    in_flight: Annotated[int, Field(description="the answering process works on them")]
    in_hand: Annotated[int, Field(description="the answering process received them and has not started them")]
    due: Annotated[
        int | None,
        Field(
            description="of all processes: not published yet, although nothing but the relay and the broker holds them "
            f"back; of a job at most what its window has room for. {OF_DATABASE}"
        ),
    ]
    waiting_jobs: Annotated[int | None, Field(description=f"open jobs that wait for something; {OF_DATABASE}")]


class DeadLettersView(BaseModel):
    """Of all processes, since the database was made or migrated to count them."""

    model_config = _CAMEL

    count: Annotated[int | None, Field(description=OF_DATABASE)]
    last_at: Moment | None


class ConfigurationView(BaseModel):
    """The file of the archive types, as the answering process sees it."""

    well: Annotated[
        bool, Field(description="false: it was changed and could not be taken over; the former is in force")
    ]
    reason: Annotated[str | None, Field(description="the mistakes")]
    since: Annotated[Moment, Field(description="since when it is in force as it is, or is not")]

    @classmethod
    def of(cls, condition: ComponentState) -> "ConfigurationView":
        return cls(well=condition.well, reason=condition.reason, since=condition.since)


class DatabaseView(BaseModel):
    version: Annotated[str | None, Field(description=f"its newest migration; {OF_DATABASE}")]
    size: Annotated[
        int | None, Field(description=f"bytes of the whole database; {OF_DATABASE} or the role may not ask")
    ]


class ProcessView(BaseModel):
    """A process of the service."""

    model_config = _CAMEL

    id: UUID
    started_at: Moment
    seen_at: Annotated[Moment, Field(description="by the database's clock; each process is seen every 20 s")]
    release: str

    @classmethod
    def of(cls, process: KnownProcess) -> "ProcessView":
        return cls(id=process.id, started_at=process.started_at, seen_at=process.seen_at, release=process.release)


class SystemView(BaseModel):
    """The state of the service."""

    model_config = _CAMEL

    components: list[ComponentView]
    sources: list[SourceView]
    work: WorkView
    dead_letters: DeadLettersView
    configuration: ConfigurationView
    release: Annotated[str, Field(description="of the answering process")]
    database: DatabaseView
    processes: Annotated[list[ProcessView], Field(description="seen in the last minute; the answering one always")]

    @classmethod
    def of(cls, state: SystemState) -> "SystemView":
        recorded = state.recorded
        letters = None if recorded is None else recorded.dead_letters
        return cls(
            components=[ComponentView.of(each) for each in state.components],
            sources=[SourceView.of(each) for each in state.sources],
            work=WorkView(
                in_flight=state.commands.in_flight,
                in_hand=state.commands.in_hand,
                due=None if recorded is None else recorded.due,
                waiting_jobs=None if recorded is None else recorded.waiting_jobs,
            ),
            dead_letters=DeadLettersView(
                count=None if letters is None else letters.count, last_at=None if letters is None else letters.last_at
            ),
            configuration=ConfigurationView.of(state.configuration),
            release=state.release,
            database=DatabaseView(
                version=None if recorded is None else recorded.version, size=None if recorded is None else recorded.size
            ),
            processes=[ProcessView.of(each) for each in state.processes],
        )
