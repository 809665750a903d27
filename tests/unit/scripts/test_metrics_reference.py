"""The reference of metrics."""

from __future__ import annotations

from pathlib import Path

from scripts import metrics_reference


def test_every_metric_has_words_and_a_place() -> None:
    page = metrics_reference.render()
    for metric in metrics_reference.descriptions():
        assert metric.words
        assert page.count(f"| `{metric.name}` |") == 1


def test_labels_are_known_also_of_what_has_no_sample_yet() -> None:
    labels = {metric.name: metric.labels for metric in metrics_reference.descriptions()}
    assert labels["tidewire_session_rpcs_total"] == ("method", "code")
    assert labels["tidewire_auth_rpc_faults_total"] == ("reason",)
    assert labels["tidewire_edge_bytes_out_total"] == ()


def test_the_page_is_fresh_after_it_was_written(tmp_path: Path) -> None:
    file = tmp_path / "docs" / "metrics.md"
    assert not metrics_reference.is_fresh(file)
    metrics_reference.write(file)
    assert metrics_reference.is_fresh(file)
    file.write_text(file.read_text() + "more")
    assert not metrics_reference.is_fresh(file)
