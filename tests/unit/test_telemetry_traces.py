"""Spans have W3C ids below the given parent, whether they are exported or not."""

import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.trace import Link, SpanContext, SpanKind, TraceFlags
from typing_extensions import override

from app.telemetry import traces
from app.telemetry.exported import ExportedSpan
from tests.support.spans import ExportedSpans, attributes_of, exporting, linked_to, parent_of, trace_of_span

TRACE = "0af7651916cd43dd8448eb211c80319c"
OWN = "1bf7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01"


@pytest.fixture
def exported() -> Iterator[ExportedSpans]:
    with exporting() as exporter:
        yield exporter


@pytest.fixture(params=["ids only", "exported"])
def _both_ways(request: pytest.FixtureRequest) -> None:
    if request.param == "exported":
        request.getfixturevalue("exported")


@pytest.mark.usefixtures("_both_ways")
class TestIds:
    def test_a_span_belongs_to_the_trace_of_its_parent(self) -> None:
        with traces.start("work", parent=PARENT) as span:
            assert re.fullmatch(f"00-{TRACE}-[0-9a-f]{{16}}-01", span.traceparent)
            assert span.traceparent != PARENT
            assert span.trace_id == TRACE

    def test_what_is_not_sampled_stays_so(self) -> None:
        with traces.start("work", parent=PARENT[:-1] + "0") as span:
            assert span.traceparent.startswith(f"00-{TRACE}-")
            assert span.traceparent.endswith("-00")

    @pytest.mark.parametrize("parent", [None, "", "garbage"])
    def test_without_a_valid_parent_a_new_trace_begins(self, parent: str | None) -> None:
        first, second = traces.start("work", parent=parent), traces.start("work", parent=parent)
        assert traces.parse(first.traceparent) is not None
        assert first.traceparent.endswith("-01")
        assert first.trace_id != second.trace_id

    @pytest.mark.parametrize("parent", [None, "garbage", PARENT, PARENT[:-1] + "0"])
    def test_a_span_can_be_the_first_one_of_a_given_trace(self, parent: str | None) -> None:
        first, again = (traces.start("work", parent=parent, trace_id=OWN) for _ in range(2))
        assert re.fullmatch(f"00-{OWN}-[0-9a-f]{{16}}-01", first.traceparent)  # whatever the flag of `parent`
        assert first.trace_id == again.trace_id == OWN
        assert first.traceparent != again.traceparent

    @pytest.mark.parametrize("flag", ["00", "01"])
    def test_a_parent_of_the_given_trace_is_above_the_span(self, flag: str) -> None:
        span = traces.start("work", parent=f"{PARENT[:-2]}{flag}", trace_id=TRACE)
        assert re.fullmatch(f"00-{TRACE}-[0-9a-f]{{16}}-{flag}", span.traceparent)


def test_the_first_span_of_a_given_trace_is_linked_to_the_parent_of_another_one(exported: ExportedSpans) -> None:
    with traces.start("publish", "producer", PARENT, trace_id=OWN) as first:
        pass
    with traces.start("process", "consumer", first.traceparent, trace_id=OWN):
        pass
    with traces.start("publish", "producer", trace_id=OWN):
        pass
    publish, process, alone = exported.ended
    assert [trace_of_span(each) for each in (publish, process, alone)] == [OWN] * 3
    assert (parent_of(publish), linked_to(publish)) == (None, [PARENT])
    assert (parent_of(process), linked_to(process)) == (first.traceparent[36:52], [])
    assert (parent_of(alone), linked_to(alone)) == (None, [])


@pytest.mark.parametrize("sampler", ["traceidratio", "parentbased_traceidratio"])
def test_a_sampler_decides_for_each_given_trace_and_the_flag_goes_on(
    sampler: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", sampler)
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "0.5")
    for low, flag in (("1" * 16, "01"), ("f" * 16, "00")):
        own = "a" * 16 + low
        for submitted in (PARENT, PARENT[:-1] + "0"):
            with exporting() as exporter:
                with traces.start("publish", "producer", submitted, trace_id=own) as publish:
                    assert publish.traceparent[-2:] == flag
                with traces.start("process", "consumer", publish.traceparent, trace_id=own) as process:
                    assert process.traceparent[-2:] == flag
                assert len(exporter.ended) == 2 * int(flag)


@pytest.mark.parametrize("sampler", ["always_off", "parentbased_always_off"])
def test_a_sampler_that_is_off_exports_nothing(sampler: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", sampler)
    with exporting() as exporter:
        with traces.start("publish", "producer", PARENT, trace_id=OWN) as publish:
            assert re.fullmatch(f"00-{OWN}-[0-9a-f]{{16}}-00", publish.traceparent)
        assert exporter.ended == []


@pytest.mark.parametrize(("sampler", "flag"), [("always_on", "01"), ("parentbased_always_on", "00")])
def test_only_a_sampler_that_is_based_on_the_parent_looks_at_it(
    sampler: str, flag: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", sampler)
    with exporting():
        assert traces.start("work", parent=PARENT[:-1] + "0").traceparent[-2:] == flag


@pytest.mark.parametrize(
    "header",
    [
        f"00-{TRACE}-b7ad6b7169203331",
        f"00-{TRACE.upper()}-b7ad6b7169203331-01",
        f"00-{'0' * 32}-b7ad6b7169203331-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"ff-{TRACE}-b7ad6b7169203331-01",
        f"00-{TRACE}-b7ad6b7169203331-01-extra",
        f"00-{TRACE}-b7ad6b7169203331-01\n",
        f" {PARENT}",
        PARENT * 1000,
    ],
)
def test_an_invalid_header_is_no_context(header: str) -> None:
    assert traces.parse(header) is None


def test_a_later_version_of_the_header_is_read() -> None:
    context = traces.parse(f"01-{TRACE}-b7ad6b7169203331-03-what-comes-later")
    assert context == traces.TraceContext(TRACE, "b7ad6b7169203331", True)


def test_an_exported_span_has_parent_kind_attributes_and_error(exported: ExportedSpans) -> None:
    span = traces.start("fetch", "client", PARENT, {"job": "j1"})
    span.set("attempts", 2)
    with pytest.raises(OSError, match="away"), span:
        raise OSError("away")

    assert isinstance(span, ExportedSpan)
    (done,) = exported.ended
    assert (done.name, done.kind) == ("fetch", Span.SPAN_KIND_CLIENT)
    assert attributes_of(done) == {"job": "j1", "attempts": 2}
    assert parent_of(done) == "b7ad6b7169203331"
    assert (done.status.code, done.status.message) == (Status.STATUS_CODE_ERROR, "away")
    assert span.traceparent == f"00-{TRACE}-{done.span_id.hex()}-01"
    assert 0 < done.start_time_unix_nano <= done.end_time_unix_nano


def test_an_exported_span_is_what_the_sdk_makes_of_the_same_facts(exported: ExportedSpans) -> None:
    about: dict[str, traces.Value] = {"job": "j1", "attempts": 2, "share": 0.5, "again": True}
    with traces.start("publish", "producer", PARENT, about, trace_id=OWN) as span:
        span.record_error(OSError("away"))
    (done,) = exported.ended
    (raised,) = done.events
    linked = SpanContext(int(TRACE, 16), 0xB7AD6B7169203331, is_remote=True, trace_flags=TraceFlags(1))
    raised_about = {each.key: each.value.string_value for each in raised.attributes}
    same = ReadableSpan(
        "publish",
        SpanContext(int(OWN, 16), int.from_bytes(done.span_id), is_remote=False, trace_flags=TraceFlags(1)),
        attributes=about,
        events=[Event("exception", raised_about, raised.time_unix_nano)],
        links=[Link(linked)],
        kind=SpanKind.PRODUCER,
        status=trace.Status(trace.StatusCode.ERROR, "away"),
        start_time=done.start_time_unix_nano,
        end_time=done.end_time_unix_nano,
    )
    expected = encode_spans([same]).resource_spans[0].scope_spans[0].spans[0]
    expected.links[0].flags |= 1  # the SDK leaves out that the other one is sampled
    assert raised_about.keys() == {"exception.type", "exception.message", "exception.stacktrace"}
    assert done == expected


def test_half_a_surrogate_pair_in_a_span_is_written_as_an_escape(exported: ExportedSpans) -> None:
    with traces.start("fetch", attributes={"reference": "a\ud800"}) as span:
        span.record_error("no \udfff")
    (done,) = exported.ended
    assert (attributes_of(done), done.status.message) == ({"reference": "a\\ud800"}, "no \\udfff")


def test_a_recorded_error_marks_the_span(exported: ExportedSpans) -> None:
    with traces.start("fetch") as span:
        span.record_error("HTTP 404")
    (done,) = exported.ended
    assert done.status.message == "HTTP 404"


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://collector:4318/v1/traces"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318", "OTEL_SDK_DISABLED": "true"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318", "OTEL_TRACES_EXPORTER": "none"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318", "OTEL_TRACES_EXPORTER": "otlp"}, True),
    ],
)
def test_the_usual_variables_decide_about_the_export(environment: dict[str, str], expected: bool) -> None:
    assert traces.wanted(environment) is expected


def test_variables_that_the_sdk_refuses_switch_the_export_off_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refused(service_name: str | None) -> None:
        raise RuntimeError("Requested component not found")

    monkeypatch.setattr("app.telemetry.otlp.collector", refused)
    assert not traces.configure_traces("pas", {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"})
    [record] = caplog.records
    assert "no traces are exported" in record.getMessage()
    assert traces.start("work").traceparent


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, "pas"),
        ({"OTEL_SERVICE_NAME": "theirs"}, "theirs"),
        ({"OTEL_RESOURCE_ATTRIBUTES": "service.name=theirs,zone=a"}, "theirs"),
    ],
)
def test_spans_reach_the_collector_that_the_variables_name(
    environment: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    received: list[tuple[str, str, bytes]] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            received.append((self.path, self.headers["content-type"], body))
            self.send_response(200)
            self.end_headers()

        @override
        def log_message(self, format: str, *args: object) -> None: ...

    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with HTTPServer(("127.0.0.1", 0), Collector) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        assert traces.configure_traces("pas")
        with traces.start("work") as above, traces.start("inner", parent=above.traceparent):
            pass
        traces.shutdown_traces()
        server.shutdown()
    [(path, content_type, body)] = received
    assert (path, content_type) == ("/v1/traces", "application/x-protobuf")
    [of_resource] = ExportTraceServiceRequest.FromString(body).resource_spans
    about = {each.key: each.value.string_value for each in of_resource.resource.attributes}
    assert about["service.name"] == expected
    [of_scope] = of_resource.scope_spans
    assert of_scope.scope.name == "process-archive-service"
    assert [each.name for each in of_scope.spans] == ["inner", "work"]
