"""Histograms beside those of RPCs."""

from prometheus_client import REGISTRY

from scow.core import metrics


def test_a_histogram_counts_where_metrics_are_served() -> None:
    observe = metrics.histogram("127.0.0.1:9", "scow_test_seconds", "A test.", "stage")
    observe("mounts", 0.5)
    observe("mounts", 1.5)
    labels = {"stage": "mounts"}
    assert REGISTRY.get_sample_value("scow_test_seconds_count", labels) == 2
    assert REGISTRY.get_sample_value("scow_test_seconds_sum", labels) == 2


def test_nobody_is_told_where_they_are_not() -> None:
    metrics.histogram("", "scow_untold_seconds", "A test.", "stage")("mounts", 0.5)
    assert REGISTRY.get_sample_value("scow_untold_seconds_count", {"stage": "mounts"}) is None
