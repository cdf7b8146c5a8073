"""A preflight as JSON: the sample, the buckets, the warnings and the forecast."""

from datetime import date
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from app.archiver.preflight import BucketState
from app.archiver.sample import SampledReference, SampleVerdict
from app.domain.forecast import Forecast, Spread
from app.domain.mistakes import Mistake

_CAMEL = ConfigDict(alias_generator=to_camel, populate_by_name=True)


class SampleView(BaseModel):
    """The expected outcome of one reference. The fields after `message` are set for a document that would be stored."""

    model_config = _CAMEL

    reference_id: str
    version: int | None
    verdict: Annotated[
        SampleVerdict,
        Field(description="`no-data`: it would stay open; `not-sure`: no answer, or a pause is asked for"),
    ]
    message: Annotated[str | None, Field(description="as the report would show it")]
    system: str | None
    schema_: Annotated[str | None, Field(alias="schema")]
    schema_version: int | None
    content_type: str | None
    size: Annotated[int | None, Field(description="bytes")]
    bucket: str | None
    key: str | None
    retention_days: Annotated[int | None, Field(description="of the object lock; null: it would not be locked")]
    locked_until: Annotated[
        date | None,
        Field(description="the day until which the object would be locked if it were the last one of the job"),
    ]
    present: Annotated[bool | None, Field(description="the store already has an object with the same content")]

    @classmethod
    def of(cls, sampled: SampledReference, forecast: Forecast) -> "SampleView":
        schema, days = sampled.schema, sampled.retention_days
        return cls(
            reference_id=sampled.reference.id,
            version=sampled.reference.version,
            verdict=sampled.verdict,
            message=sampled.message,
            system=schema.system if schema else None,
            schema_=schema.name if schema else None,
            schema_version=schema.version if schema else None,
            content_type=sampled.content_type,
            size=sampled.size,
            bucket=sampled.bucket,
            key=sampled.key,
            retention_days=days,
            locked_until=None if days is None else forecast.day_after(days),
            present=sampled.present,
        )


class BucketView(BaseModel):
    bucket: str
    problem: Annotated[str | None, Field(description="why nothing can be stored there now")]

    @classmethod
    def of(cls, look: BucketState) -> "BucketView":
        return cls(bucket=look.bucket, problem=look.problem)


class WarningView(BaseModel):
    """A suspicious id. Without path and line: how many more ids there are of this kind."""

    path: Annotated[str, Field(examples=["archiveDataReferences[3].id"])]
    line: int | None
    message: str

    @classmethod
    def of(cls, warning: Mistake) -> "WarningView":
        return cls(path=warning.path, line=warning.line, message=warning.message)


class BytesView(BaseModel):
    """The bytes of all documents of the job, also of those that are in the store already."""

    low: int
    likely: int
    high: int

    @classmethod
    def of(cls, spread: Spread) -> "BytesView":
        return cls(low=round(spread.low), likely=round(spread.likely), high=round(spread.high))


class SecondsView(BaseModel):
    """The time that one process takes which does nothing else."""

    low: float
    likely: float
    high: float

    @classmethod
    def of(cls, spread: Spread) -> "SecondsView":
        return cls(low=round(spread.low, 3), likely=round(spread.likely, 3), high=round(spread.high, 3))


class CostView(BaseModel):
    amount: float
    currency: str


class ForecastView(BaseModel):
    """The forecast, estimated from the sample."""

    model_config = _CAMEL

    references: int
    bytes: Annotated[BytesView | None, Field(description="null: the sample has no document")]
    locked_until: Annotated[
        date | None, Field(description="the latest day until which nothing can be deleted; null: nothing is locked")
    ]
    seconds: Annotated[SecondsView | None, Field(description="null: the source did not answer")]
    cost: Annotated[CostView | None, Field(description="to that day; null: no price is configured")]

    @classmethod
    def of(cls, forecast: Forecast) -> "ForecastView":
        cost = forecast.cost
        return cls(
            references=forecast.references,
            bytes=BytesView.of(forecast.bytes) if forecast.bytes else None,
            locked_until=forecast.locked_until,
            seconds=SecondsView.of(forecast.seconds) if forecast.seconds else None,
            cost=CostView(amount=cost.amount, currency=cost.currency) if cost else None,
        )


class PreflightView(BaseModel):
    model_config = _CAMEL

    ok: Annotated[bool, Field(description="every sample would succeed, every bucket is as it must be")]
    message: str
    topic: str
    config_id: Annotated[str | None, Field(description="the configuration that it resolves to, where it has an id")]
    references: Annotated[int, Field(description="number of tasks that the job would have")]
    sample: Annotated[list[SampleView], Field(description="spread over the body")]
    buckets: list[BucketView]
    warnings: Annotated[list[WarningView], Field(description="20 of a kind at most, then how many more there are")]
    plan: Annotated[str, Field(description="what would happen, for the header `Pas-Plan` of the submission")]
    forecast: ForecastView
