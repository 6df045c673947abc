"""Agreement with what the authors' code computed from their LastFM checkpoint on fixed inputs."""

import numpy as np
import pytest
import torch
from helpers import authors_file, authors_outputs, needs_mirror, to_views

import s3rec_lite as s3
from s3rec_lite.finetuning import next_item_loss
from s3rec_lite.objectives import joint_loss, pretraining_losses
from s3rec_lite.runs.interop import AUTHORS, load_authors_checkpoint
from s3rec_lite.support.config import FinetuneConfig, PretrainConfig

pytestmark = needs_mirror
VIEWS = ("masked_items", "pos_items", "neg_items", "masked_segment", "pos_segment", "neg_segment")


@pytest.fixture(scope="module")
def outputs():
    return authors_outputs()


@pytest.fixture(scope="module")
def data():
    authors_file("LastFM.txt")
    return s3.load_dataset("lastfm")


@pytest.fixture
def model():
    return load_authors_checkpoint(authors_file("LastFM-epochs-150.pt")).eval()


@pytest.fixture
def losses(model, outputs, data):
    views = to_views([outputs[name].astype(np.int64) for name in VIEWS])
    return pretraining_losses(model, views, data.attributes, form="authors")


def test_the_four_losses_are_the_authors(losses, outputs):
    found = [losses[name].item() for name in ("aap", "mip", "map", "sp")]
    assert found == pytest.approx(outputs["losses"].tolist(), rel=1e-4)


def test_the_gradient_norms_are_the_authors(model, losses, outputs):
    joint_loss(losses, PretrainConfig()).backward()
    ours = dict(model.named_parameters())
    norms = dict(zip(outputs["grad_names"].tolist(), outputs["grad_norms"].tolist(), strict=True))
    largest, compared = max(norms.values()), set()
    for name, theirs in AUTHORS.pairs(model.config.n_layers).items():
        parts = ours[name].grad.chunk(len(theirs)) if len(theirs) > 1 else (ours[name].grad,)
        for part, key in zip(parts, theirs, strict=True):
            # The softmax cancels the key bias: its true gradient is 0, and what is left is rounding.
            allowed = 1e-4 * largest if key.endswith("key.bias") else 1e-3 * norms[key]
            assert abs(float(part.norm()) - norms[key]) <= allowed, key
            compared.add(key)
    assert compared == set(norms), "every parameter of theirs has a counterpart here"


def test_hidden_states_are_the_authors_at_real_positions(model, outputs):
    items = torch.from_numpy(outputs["masked_items"][:4].astype(np.int64))
    with torch.no_grad():
        found = model.encode(items)
    real = items != 0
    assert real.sum() > 20
    assert torch.allclose(found[real], torch.from_numpy(outputs["hidden"])[real], atol=1e-4, rtol=0)


def test_the_causal_last_state_is_the_authors(model, outputs, data):
    items = torch.from_numpy(outputs["test_inputs"].astype(np.int64))
    for user, row in enumerate(items.tolist()):
        assert [item for item in row if item] == data.sequence(user)[:-1][-50:].tolist()
    expected = torch.from_numpy(outputs["test_last_hidden"])
    with torch.no_grad():
        assert torch.allclose(model.encode_last(items), expected, atol=1e-4, rtol=0)
        assert torch.allclose(model.encode(items, causal=True)[:, -1], expected, atol=1e-4, rtol=0)


def test_the_fine_tuning_loss_is_the_authors(model, outputs):
    inputs, targets, negatives = (
        torch.from_numpy(outputs[name].astype(np.int64)) for name in ("ft_inputs", "ft_pos", "ft_neg")
    )
    targets = torch.where(inputs != 0, targets, 0)
    config = FinetuneConfig(loss="bce", clamped_logs=True)
    with torch.no_grad():
        total = next_item_loss(model, inputs, targets, negatives, config)
    assert total.item() / int((targets != 0).sum()) == pytest.approx(float(outputs["finetune_bce"]), rel=1e-4)


def test_full_ranking_gives_the_authors_metrics(model, outputs, data):
    report = s3.evaluate(model, data, split="test", protocol="authors")
    names = ["HR@5", "NDCG@5", "HR@10", "NDCG@10", "HR@20", "NDCG@20"]
    found = [report.metrics[name] for name in names]
    assert found == pytest.approx(outputs["full_HR5_N5_HR10_N10_HR20_N20"].tolist(), abs=5e-5)


def test_sampled_ranking_gives_the_authors_metrics(model, outputs, data):
    assert data.sampled_negatives is not None
    report = s3.evaluate(model, data, split="test", protocol="sampled", negatives="given")
    names = ["HR@1", "HR@1", "HR@5", "NDCG@5", "HR@10", "NDCG@10", "MRR"]  # NDCG@1 is HR@1
    found = [report.metrics[name] for name in names]
    assert found == pytest.approx(outputs["sampled_HR1_N1_HR5_N5_HR10_N10_MRR"].tolist(), abs=5e-5)


def test_the_beauty_checkpoint_loads():
    model = load_authors_checkpoint(authors_file("Beauty-epochs-150.pt"))
    assert (model.num_items, model.num_attributes) == (12101, 637)
    with torch.no_grad():
        scores = model.eval().score(torch.tensor([[0, 0, 5, 7, 12000]]))
    assert scores.shape == (1, 12103)
    assert torch.isfinite(scores).all()
    assert scores.std() > 0.1, "trained weights tell items apart"


def test_the_padding_row_of_the_checkpoint_is_kept(model):
    """Their initialisation overwrites the padding row; a faithful load must not zero it."""
    assert float(model.item_embeddings.weight[0].detach().norm()) > 0.1
