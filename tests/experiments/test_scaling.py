"""Time and memory against the size of the data: what the record holds, and how it goes on."""

import json

import pytest

from s3rec_lite.experiments import scaling
from s3rec_lite.experiments.scaling import STAGES, bench_scale, measured_world
from s3rec_lite.figures.records import scale_figure
from s3rec_lite.runs.records import read_record
from s3rec_lite.support.errors import S3RecError, SettingError


@pytest.mark.training
def test_a_record_goes_on_size_by_size(tmp_path):
    heard = []
    plan = {"folder": tmp_path, "steps": 1, "users": 5, "on_size": heard.append}
    first = bench_scale([0.0005], **plan)
    assert read_record(tmp_path / "bench-scale.json") == json.loads(json.dumps(first))
    both = bench_scale([0.001, 0.0005], **plan)
    assert heard == ["500 interactions", "1,000 interactions"]
    assert list(both["sizes"]) == ["500", "1000"]
    assert both["sizes"]["500"] == first["sizes"]["500"]
    for size, facts in both["sizes"].items():
        assert (facts["users"], facts["items"]) == (int(size) / 20, int(size) / 10)
        for stage in STAGES:
            assert facts[stage]["seconds"] > 0
            assert facts[stage]["peak_memory_mib"] > 50  # PyTorch alone is more
        assert facts["pretraining"]["seconds"] > facts["pretraining"]["seconds_per_step"] > 0
    path = scale_figure(both, tmp_path)
    alt = path.with_suffix(".txt").read_text()
    assert path.read_bytes().startswith(b"\x89PNG")
    assert "from 500 to 1,000 interactions" in alt
    assert f"to {both['sizes']['1000']['ranking']['seconds']:.3g} seconds" in alt
    with pytest.raises(SettingError, match="made with other settings"):
        bench_scale([0.0005], tmp_path, steps=2, users=5)


def test_a_process_that_dies_ends_with_its_reason(tmp_path, monkeypatch):
    with pytest.raises(SettingError, match="above 0"):
        bench_scale([0], tmp_path)
    monkeypatch.setattr(scaling.sys, "executable", "false")
    with pytest.raises(S3RecError, match="write at 500 interactions: it ended with status 1"):
        bench_scale([0.0005], tmp_path)
    assert not list(tmp_path.iterdir())


def test_items_are_a_tenth_of_the_interactions():
    data = measured_world(20_000)
    assert (data.num_interactions, data.num_items) == (20_000, 2_000)
    assert measured_world(10).num_items == 50
