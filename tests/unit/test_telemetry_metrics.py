"""The page of /metrics."""

from prometheus_client.parser import text_string_to_metric_families

from app.telemetry import metrics


def test_every_metric_says_what_it_means() -> None:
    families = list(text_string_to_metric_families(metrics.render().decode()))
    ours = [family for family in families if family.name.startswith("pas_")]
    assert len(ours) > 15
    assert all(family.documentation.endswith(".") for family in ours)


def test_a_count_is_shown() -> None:
    before = metrics.REGISTRY.get_sample_value("pas_tasks_total", {"outcome": "succeeded"}) or 0
    metrics.TASKS_SUCCEEDED.inc()
    assert f'pas_tasks_total{{outcome="succeeded"}} {before + 1}'.encode() in metrics.render()


def test_every_component_has_a_gauge() -> None:
    metrics.UNAVAILABLE.labels("broker").set(1)
    assert b'pas_component_unavailable{component="broker"} 1.0' in metrics.render()
    metrics.UNAVAILABLE.labels("broker").set(0)
