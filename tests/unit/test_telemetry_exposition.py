"""One text of the metrics of several processes."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.parser import text_string_to_metric_families

from app.telemetry import metrics
from app.telemetry.exposition import merged


def text_of(value: float, reference: str) -> bytes:
    registry = CollectorRegistry()
    Counter("some", "Help with a \\ and a\nbreak.", ["ref", "kind"], registry=registry).labels(reference, "k").inc(
        value
    )
    Gauge("plain", "No labels.", registry=registry).set(-value)
    Histogram("seconds", "Time.", ["outcome"], buckets=(1, 2), registry=registry).labels("ok").observe(value)
    return metrics.render(registry)


def test_every_sample_has_the_number_of_its_process_and_every_metric_stands_once() -> None:
    odd = 'a} b{c="d", e\u2028 # HELP \n"'
    page = merged({1: text_of(1, odd), 3: text_of(2, "x")})
    families = list(text_string_to_metric_families(page.decode()))
    assert [family.name for family in families] == ["some", "plain", "seconds"]
    assert page.count(b"\n# TYPE ") == 3
    some, plain, seconds = families
    assert some.documentation == "Help with a \\ and a\nbreak."
    assert {(each.labels["process"], each.labels["ref"], each.value) for each in some.samples} == {
        ("1", odd, 1),
        ("3", "x", 2),
    }
    assert {(each.labels["process"], each.value) for each in plain.samples} == {("1", -1), ("3", -2)}
    assert {each.labels["process"] for each in seconds.samples} == {"1", "3"}
    assert {each.labels["le"] for each in seconds.samples if each.name == "seconds_bucket"} == {"1.0", "2.0", "+Inf"}


def test_a_metric_that_only_a_later_one_has_is_there_too() -> None:
    first = b"# HELP a A.\n# TYPE a gauge\na 1.0\n"
    page = merged({1: first, 2: first + b"# HELP b B.\n# TYPE b gauge\nb 2.0\n"})
    assert page == (
        b'# HELP a A.\n# TYPE a gauge\na{process="1"} 1.0\na{process="2"} 1.0\n'
        b'# HELP b B.\n# TYPE b gauge\nb{process="2"} 2.0\n'
    )


def test_the_real_metrics_of_two_processes_are_read_as_twice_those_of_one() -> None:
    one = metrics.render()
    read = list(text_string_to_metric_families(one.decode()))
    both = list(text_string_to_metric_families(merged({1: one, 2: one}).decode()))
    assert [family.name for family in both] == [family.name for family in read]
    for family, alone in zip(both, read, strict=True):
        assert (family.type, family.documentation) == (alone.type, alone.documentation)
        for number in ("1", "2"):
            theirs = [each for each in family.samples if each.labels["process"] == number]
            assert [(s.name, s.labels, s.value) for s in theirs] == [
                (s.name, {"process": number, **s.labels}, s.value) for s in alone.samples
            ]
