"""The plain file computes what the package computes, and everything that is fast names its plain twin."""

import ast
import random
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import make_data, tiny_model
from hypothesis import given
from hypothesis import strategies as st

from s3rec_lite import FinetuneConfig, plain
from s3rec_lite.datasets import toy
from s3rec_lite.evaluation import full_ranks
from s3rec_lite.finetuning import NextItemSamples, next_item_loss
from s3rec_lite.metrics import Ranks, expected_metric
from s3rec_lite.support.config import PretrainConfig
from s3rec_lite.views import ViewSampler

ROOT = Path(plain.__file__).parent
DATA = toy()


def functions_of(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}


def test_it_imports_nothing_of_the_package_but_the_data():
    tree = ast.parse(Path(plain.__file__).read_text(encoding="utf-8"))
    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name for name in imported if name.startswith("s3rec_lite")} == {"s3rec_lite.data"}


def test_every_twin_that_a_docstring_names_exists():
    named = set()
    for path in ROOT.glob("*.py"):
        named |= set(re.findall(r"s3rec_lite\.plain\.(\w+)", path.read_text(encoding="utf-8")))
    assert named <= functions_of(ROOT / "plain.py")
    assert {"encode", "aap", "segment_views", "negative_item", "PlainSamples", "PlainTrainer", "joint_loss"} <= named
    assert {"next_item_loss", "rank", "hit_rate"} <= named


@pytest.mark.parametrize("split", ["valid", "test"])
def test_the_rank_of_a_loop_is_the_rank_of_the_package(split):
    model = tiny_model(DATA).eval()
    ranks = full_ranks(model, DATA, split)
    assert not ranks.ties.any()
    with torch.no_grad():
        for user in range(DATA.num_users):
            history = DATA.history(user, split)
            states = plain.encode(model, torch.from_numpy(history)[None], causal=True)
            scores = (states[0, -1] @ model.item_embeddings.weight.T).tolist()
            place = plain.rank(scores, int(DATA.targets(split)[user]), set(history.tolist()))
            assert place == ranks.greater[user] + 1


@given(st.lists(st.integers(1, 40), min_size=1, max_size=20), st.integers(1, 40))
def test_metrics_by_hand(places, k):
    greater = np.array(places) - 1
    ranks = Ranks(greater, np.zeros_like(greater), 40)
    assert plain.hit_rate(places, k) == pytest.approx(expected_metric(ranks, f"HR@{k}").mean())
    assert plain.ndcg(places, k) == pytest.approx(expected_metric(ranks, f"NDCG@{k}").mean())


def test_the_fine_tuning_loss_of_a_loop():
    model, config = tiny_model(DATA).eval(), FinetuneConfig(loss="ce")
    samples = NextItemSamples(DATA, config, model.max_length)
    inputs, targets, _ = samples.batch(np.arange(len(samples)), np.random.default_rng(0))
    expected = plain.next_item_loss(model, inputs, targets)
    assert next_item_loss(model, inputs, targets, None, config).item() == pytest.approx(expected.item(), rel=1e-6)


def test_the_prefixes_are_the_same():
    data = make_data([[1, 2, 3, 4, 5, 6, 7, 8], [4, 4, 2, 1], [5, 6, 7]])
    sampler, samples = ViewSampler(data, PretrainConfig(), 4), plain.PlainSamples(data, 4)
    prefixes = sampler.prefixes
    ours = [data.items[start:end].tolist() for start, end in zip(prefixes.starts, prefixes.ends, strict=True)]
    assert ours == samples.prefixes


@given(st.integers(0, 2**31))
def test_a_plain_sample_is_well_formed(seed):
    samples, rng = plain.PlainSamples(DATA, 6), random.Random(seed)
    index = rng.randrange(len(samples.prefixes))
    prefix = plain.pad(samples.prefixes[index], 6)
    masked, items, negatives, context, positive, negative = samples.sample(index, rng)
    assert items == prefix
    assert masked[-1] == DATA.mask_token
    for hidden, item, other in zip(masked, items, negatives, strict=True):
        assert (other not in items) if hidden == DATA.mask_token else (hidden == item == other)
    if sum(item != 0 for item in items) > 1:
        for shown, own, foreign, item in zip(context, positive, negative, items, strict=True):
            is_cut = item != 0 and shown == DATA.mask_token
            assert own == (item if is_cut else DATA.mask_token if item else 0)
            assert is_cut or foreign == own


def test_a_plain_step_trains():
    model = tiny_model(DATA, double=False).train()
    trainer = plain.PlainTrainer(model, DATA, batch_size=8, seed=1)
    before = model.item_embeddings.weight.detach().clone()
    assert trainer.step() == 8
    assert not torch.equal(model.item_embeddings.weight, before)
