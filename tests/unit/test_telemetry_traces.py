"""Spans have W3C ids below the given parent, whether they are exported or not."""

import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from typing_extensions import override

from app.telemetry import traces
from tests.support.spans import exporting, linked_to, parent_of, trace_of_span

TRACE = "0af7651916cd43dd8448eb211c80319c"
OWN = "1bf7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01"


@pytest.fixture
def exported() -> Iterator[InMemorySpanExporter]:
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


def test_the_first_span_of_a_given_trace_is_linked_to_the_parent_of_another_one(exported: InMemorySpanExporter) -> None:
    with traces.start("publish", "producer", PARENT, trace_id=OWN) as first:
        pass
    with traces.start("process", "consumer", first.traceparent, trace_id=OWN):
        pass
    with traces.start("publish", "producer", trace_id=OWN):
        pass
    publish, process, alone = exported.get_finished_spans()
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
                assert len(exporter.get_finished_spans()) == 2 * int(flag)


@pytest.mark.parametrize("sampler", ["always_off", "parentbased_always_off"])
def test_a_sampler_that_is_off_exports_nothing(sampler: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", sampler)
    with exporting() as exporter:
        with traces.start("publish", "producer", PARENT, trace_id=OWN) as publish:
            assert re.fullmatch(f"00-{OWN}-[0-9a-f]{{16}}-00", publish.traceparent)
        assert exporter.get_finished_spans() == ()


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


def test_an_exported_span_has_parent_kind_attributes_and_error(exported: InMemorySpanExporter) -> None:
    span = traces.start("fetch", "client", PARENT, {"job": "j1"})
    span.set("attempts", 2)
    with pytest.raises(OSError, match="away"), span:
        raise OSError("away")

    (done,) = exported.get_finished_spans()
    assert done.name == "fetch"
    assert done.kind is SpanKind.CLIENT
    assert done.attributes == {"job": "j1", "attempts": 2}
    assert done.parent is not None
    assert f"{done.parent.span_id:016x}" == "b7ad6b7169203331"
    assert done.status.status_code is StatusCode.ERROR
    assert done.resource.attributes["service.name"] == "pas"
    assert done.context is not None
    assert span.traceparent == f"00-{TRACE}-{done.context.span_id:016x}-01"


def test_a_recorded_error_marks_the_span(exported: InMemorySpanExporter) -> None:
    with traces.start("fetch") as span:
        span.record_error("HTTP 404")
    (done,) = exported.get_finished_spans()
    assert done.status.description == "HTTP 404"


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
    def refused() -> None:
        raise RuntimeError("Requested component not found")

    monkeypatch.setattr("app.telemetry.exported.collector", refused)
    assert not traces.configure_traces("pas", {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"})
    [record] = caplog.records
    assert "no traces are exported" in record.getMessage()
    assert traces.start("work").traceparent


def test_the_service_name_of_the_environment_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "theirs")
    exporter = InMemorySpanExporter()
    traces.export_to(SimpleSpanProcessor(exporter), "ours")
    with traces.start("work"):
        pass
    traces.shutdown_traces()
    assert exporter.get_finished_spans()[0].resource.attributes["service.name"] == "theirs"


def test_spans_reach_the_collector_that_the_variables_name(monkeypatch: pytest.MonkeyPatch) -> None:
    received: list[tuple[str, str]] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            received.append((self.path, self.headers["content-type"]))
            self.send_response(200)
            self.end_headers()

        @override
        def log_message(self, format: str, *args: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Collector) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        assert traces.configure_traces("pas")
        with traces.start("work"):
            pass
        traces.shutdown_traces()
        server.shutdown()
    assert received == [("/v1/traces", "application/x-protobuf")]
