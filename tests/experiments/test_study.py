"""The study: one record of many runs, and the bounds that it measures."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from s3rec_lite import S3Rec, load_dataset
from s3rec_lite.commands.cli import main
from s3rec_lite.datasets import planted
from s3rec_lite.experiments.study import Arm, Study, run_study
from s3rec_lite.information.measured import _cross_fitted, _groups, measured_bounds
from s3rec_lite.support.config import OBJECTIVES, FinetuneConfig, ModelConfig, PretrainConfig
from s3rec_lite.support.errors import SettingError

pytestmark = pytest.mark.training

SMALL = ModelConfig(hidden_size=16, inner_size=32, max_length=10)


@pytest.fixture(scope="module")
def world():
    return planted(num_users=240, num_items=40, length=12, num_groups=8, seed=3)


def plan(data, folder, **changes):
    settings = {
        "epochs": 1, "seeds": (42,), "shares": (0.5,), "stops": (1, 2), "model": SMALL, "progress": False,
        "finetuning": FinetuneConfig(epochs=1), "runs": folder / "runs", "results": folder / "results",
    }  # fmt: skip
    return Study(data, **{**settings, **changes})


def test_a_study_answers_its_four_questions_and_goes_on_where_it_stopped(world, tmp_path):
    lines: list[str] = []
    record = run_study(plan(world, tmp_path), lines.append)
    labels = [arm["label"] for arm in record["arms"]]
    assert len(set(labels)) == len(labels) == 9
    assert {arm["question"] for arm in record["arms"]} == {"seeds", "ablation", "share", "epochs"}
    assert {arm["without"] for arm in record["arms"] if arm["question"] == "ablation"} == set(OBJECTIVES)
    for arm in record["arms"]:
        value, low, high = arm["test"]["full"]["NDCG@10"]
        assert 0 <= low <= value <= high <= 1
    for pair in record["comparisons"]:
        assert pair["interval"][0] <= pair["difference"] <= pair["interval"][1]
        assert pair["arm"] != pair["reference"]
        assert pair["seeds"] == [42]
    assert [(row["epochs"], row["seed"]) for row in record["bounds"]] == [(0, 42), (1, 42), (2, 42)]
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "runs").rglob("*.pth")}
    again = run_study(plan(world, tmp_path), lines.append)
    assert [arm["weights"] for arm in again["arms"]] == [arm["weights"] for arm in record["arms"]]
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "runs").rglob("*.pth")} == before


def test_an_arm_without_an_objective_leaves_that_one_out_only(world, tmp_path):
    study = plan(world, tmp_path)
    config = study.pretraining(Arm("ablation", "map", epochs=1))
    assert config == dataclasses.replace(PretrainConfig(epochs=1), map_weight=0.0)


def test_a_smaller_share_trains_on_fewer_users_as_long_and_ranks_all(world, tmp_path):
    finetuning = FinetuneConfig(epochs=2, batch_size=40)
    record = run_study(plan(world, tmp_path, stops=(1,), finetuning=finetuning), lambda line: None)
    assert plan(world, tmp_path).trainer(0.5).data.num_users == round(world.num_users / 2)
    assert record["data"]["users"] == world.num_users
    steps = {(arm["share"], arm["epochs"]): arm["finetuning_steps"] for arm in record["arms"] if not arm["without"]}
    assert set(steps) == {(1.0, 0), (1.0, 1), (0.5, 0), (0.5, 1)}
    assert set(steps.values()) == {12}  # 2 epochs of 6 batches, 4 of 3
    (less,) = [arm for arm in record["arms"] if arm["share"] == 0.5 and arm["epochs"]]
    assert (less["epochs"], less["pretraining_epochs"], less["finetuning_epochs"]) == (1, 2, 4)


def test_several_seeds_are_compared_one_by_one_and_by_their_mean(world, tmp_path):
    record = run_study(plan(world, tmp_path, seeds=(42, 1), shares=(), stops=(1,)), lambda line: None)
    rows = [row for row in record["comparisons"] if row["protocol"] == "full" and row["metric"] == "NDCG@10"]
    assert len(rows) == 3 * (1 + len(OBJECTIVES))
    for what in {row["arm"] for row in rows}:
        by_seeds = {tuple(row["seeds"]): row["difference"] for row in rows if row["arm"] == what}
        assert by_seeds[42, 1] == pytest.approx((by_seeds[(42,)] + by_seeds[(1,)]) / 2)
    assert {row["seed"] for row in record["bounds"]} == {42, 1}


@pytest.mark.parametrize("wrong", [{"epochs": 0}, {"seeds": ()}, {"shares": (0.0,)}, {"stops": (0,)}])
def test_impossible_studies_are_refused(world, tmp_path, wrong):
    with pytest.raises(SettingError):
        plan(world, tmp_path, **wrong)


def test_the_command_refuses_shares_that_are_none():
    result = CliRunner().invoke(main, ["study", "--data", "toy", "--shares", "0.2,7"])
    assert "is not a list of shares" in result.stderr


# --- bounds ---------------------------------------------------------------------------------------------------


def test_an_untrained_model_shows_no_information(world):
    table = measured_bounds(S3Rec(world.num_items, world.num_attributes, SMALL), world, num_candidates=20)
    assert (table["nats"].abs() < 0.15).all()
    assert table["cap"].tolist() == pytest.approx([math.log(20)] * 4)


@pytest.mark.parametrize(("same", "truth"), [(1.0, math.log(5)), (0.0, 0.0)])
def test_two_fitted_numbers_find_what_a_critic_knows_and_no_more(same, truth):
    """Views that are one of five classes, equal or unrelated: the information is log 5 or nothing."""
    rng = np.random.default_rng(0)
    left = rng.integers(5, size=400)
    right = np.where(rng.random(400) < same, left, rng.integers(5, size=400))
    views = [0.1 * torch.eye(5)[torch.from_numpy(side)] for side in (left, right)]  # a scale far from the log ratio
    found = torch.cat(_cross_fitted(*views, torch.zeros(400), _groups(400, 50, rng)))
    assert len(found) == 8
    assert float(found.mean()) == pytest.approx(truth, abs=0.1)
    assert float(found.max()) < math.log(50)


def test_bounds_leave_the_model_as_it_was_and_repeat(world):
    model = S3Rec(world.num_items, world.num_attributes, SMALL).train()
    state = {name: value.clone() for name, value in model.state_dict().items()}
    first, second = (measured_bounds(model, world, num_candidates=10, repeats=2) for _ in range(2))
    assert first.equals(second)
    assert model.training
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())


def test_bounds_refuse_more_candidates_than_half_of_the_users():
    data = load_dataset("toy")
    with pytest.raises(SettingError, match="num_candidates 5"):
        measured_bounds(S3Rec(data.num_items, data.num_attributes, SMALL), data, num_candidates=5)
