"""The JSON of the service's state."""

from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from app.api.shapes.moments import Moment
from app.domain.readiness import Condition
from app.domain.system import ProcessSeen, SourceState, SystemState

_CAMEL = ConfigDict(alias_generator=to_camel, populate_by_name=True)

OF_DATABASE = "null while the database does not tell"


class ComponentView(BaseModel):
    """What the service needs of others, as the answering process sees it."""

    name: Annotated[
        str,
        Field(description="`database`, `broker`, `objectstore`, `issuer`; and what else work waits for, as `topic …`"),
    ]
    well: bool
    since: Annotated[
        Moment, Field(description="since when it is, or is not, well; at the earliest the process's start")
    ]
    reason: Annotated[str | None, Field(description="why it is not well, as on `/health/ready`")]

    @classmethod
    def of(cls, condition: Condition) -> "ComponentView":
        return cls(name=condition.name, well=condition.well, since=condition.since, reason=condition.reason)


class SourceView(BaseModel):
    """A source with one OAuth client, as the answering process paces it; each process does so by itself."""

    model_config = _CAMEL

    name: Annotated[str, Field(description="its archive types, `<message type>` or `<message type>/<config id>`")]
    client: Annotated[str | None, Field(description="the OAuth client; null: no token is sent")]
    limit: Annotated[int, Field(description="requests that it gets at a time, of all its clients together")]
    in_flight: Annotated[int, Field(description="requests under way, of all its clients together")]
    rest_until: Annotated[Moment | None, Field(description="it is not asked before; null: it may be asked now")]
    last_failure: Annotated[
        str | None,
        Field(
            description="the last time that it did not answer about a record: no connection, no token, a timeout, 429, "
            "5xx. It stays when later requests succeed"
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
    def of(cls, condition: Condition) -> "ConfigurationView":
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
    def of(cls, process: ProcessSeen) -> "ProcessView":
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
                in_flight=state.hands.in_flight,
                in_hand=state.hands.in_hand,
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
