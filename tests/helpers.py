"""What several test modules share: small data, tiny models, hand-made views and the authors' files."""

import os
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import strategies as st

from s3rec_lite import ModelConfig, PretrainConfig, S3Rec
from s3rec_lite.data import SequenceData
from s3rec_lite.runs.states import content_fingerprint
from s3rec_lite.views import Views

MIRROR = Path(os.environ.get("S3REC_MIRROR", ""))
needs_mirror = pytest.mark.skipif(
    not (os.environ.get("S3REC_MIRROR") and MIRROR.is_dir()),
    reason="S3REC_MIRROR is not set to a folder that holds the authors' files",
)


RECBOLE = Path(__file__).parent / "files" / "recbole"
"""What RecBole wrote; see the README there."""


def authors_file(name: str) -> Path:
    """A file of the authors' repository; skips the test where the mirror does not hold it."""
    path = MIRROR / name
    if not path.is_file():
        pytest.skip(f"{name} is not in S3REC_MIRROR")
    return path


def authors_outputs(name: str = "LastFM_authors_forward.npz") -> dict[str, np.ndarray]:
    """What the authors' code computed on fixed inputs; skips the test where it is not beside the mirror."""
    path = MIRROR.resolve().parent / "reference" / name
    if not path.is_file():
        pytest.skip(f"no reference/{name} beside S3REC_MIRROR")
    with np.load(path) as arrays:
        return {key: arrays[key] for key in arrays.files}


def answer_ctrl_c() -> None:
    """A ``preexec_fn``: the child takes Ctrl-C even where this process ignores it, as under nohup."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def make_data(sequences, num_items: int | None = None, num_attributes: int = 3, name: str = "test") -> SequenceData:
    """Data of the given item lists; item i has attribute 1 + i % num_attributes and some more."""
    sequences = [np.asarray(sequence, dtype=np.int64) for sequence in sequences]
    num_items = num_items or int(max(sequence.max() for sequence in sequences))
    attributes = torch.zeros(num_items + 2, num_attributes + 1, dtype=torch.bool)
    for item in range(1, num_items + 1):
        if num_attributes:
            attributes[item, 1 + item % num_attributes] = True
            attributes[item, 1 + (item // 2) % num_attributes] = True
    return SequenceData(
        name=name,
        items=np.concatenate(sequences),
        offsets=np.cumsum([0, *map(len, sequences)]).astype(np.int64),
        attributes=attributes,
    )


def own_environment() -> dict[str, str]:
    """For a Python process of its own that is to import this very checkout, on one thread."""
    return {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1]), "OMP_NUM_THREADS": "1"}


def signed(content: dict) -> dict:
    """The content of a checkpoint with the fingerprint that fits it, as whoever makes such a file would see to."""
    content = {name: value for name, value in content.items() if name != "fingerprint"}
    return {**content, "fingerprint": content_fingerprint(content)}


@st.composite
def sequence_data(draw, max_users: int = 6, max_items: int = 12, longest: int = 14) -> SequenceData:
    """Small data in which every user leaves an item of somebody's training part to draw as a negative."""
    num_items = draw(st.integers(1, max_items))
    item = st.integers(1, num_items)
    sequences = draw(st.lists(st.lists(item, min_size=3, max_size=longest), min_size=1, max_size=max_users))
    place = draw(st.integers(0, len(sequences)))
    sequences[place:place] = [[num_items + 1] * 3, [num_items + 2] * 3]
    return make_data(sequences, num_items + 2)


@st.composite
def distinct_data(draw, max_users: int = 5, longest: int = 12) -> SequenceData:
    """Data in which every interaction has an item id of its own, so that an id tells where it came from."""
    lengths = draw(st.lists(st.integers(3, longest), min_size=2, max_size=max_users))
    return make_data(np.split(np.arange(1, sum(lengths) + 1), np.cumsum(lengths)[:-1]))


def tiny_config(**changes) -> ModelConfig:
    """Eight dimensions and no dropout."""
    settings = {
        "hidden_size": 8, "inner_size": 12, "max_length": 12, "hidden_dropout_prob": 0.0, "attn_dropout_prob": 0.0,
    }  # fmt: skip
    return ModelConfig(**{**settings, **changes})


def tiny_model(data: SequenceData, *, scale: float = 8.0, seed: int = 0, double: bool = True, **changes) -> S3Rec:
    """A small model whose weights are large and whose biases are not 0, so that every term shows in the losses."""
    model = S3Rec(data.num_items, data.num_attributes, tiny_config(**changes), seed=seed)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "layer_norm" in name or name.endswith("bias"):
                weight.add_(torch.randn(weight.shape, generator=generator) * 0.2)
            else:
                weight.mul_(scale)
    return model.double() if double else model


def to_views(columns) -> Views:
    """Six lists or tensors of ids as `Views`."""
    return Views(*(torch.as_tensor(column) for column in columns))


def trim(views: Views) -> Views:
    """The same views without the columns that are padding in every row."""
    width = int((views.pos_items != 0).sum(dim=1).max())
    return Views(*(view[:, view.shape[1] - width :] for view in views))


def gradients(model: S3Rec, loss: torch.Tensor) -> dict[str, torch.Tensor]:
    """The gradient of every parameter; zeros where the loss does not depend on it."""
    model.zero_grad(set_to_none=True)
    loss.backward()
    return {
        name: torch.zeros_like(weight) if weight.grad is None else weight.grad.clone()
        for name, weight in model.named_parameters()
    }


def assert_same_gradients(found: dict, expected: dict, tolerance: float) -> None:
    """Every entry agrees within ``tolerance`` times the largest entry of that parameter's gradient."""
    assert found.keys() == expected.keys()
    overall = max(float(value.abs().max()) for value in expected.values())
    for name, value in expected.items():
        # Key biases cancel in the softmax: their true gradient is 0 and what is there is rounding.
        largest = max(float(value.abs().max()), 1e-3 * overall, 1e-6)
        difference = float((found[name] - value).abs().max())
        assert difference <= tolerance * largest, f"{name}: {difference} against {largest}"


def short_pretraining(**changes) -> PretrainConfig:
    """A few epochs in small batches."""
    return PretrainConfig(**{"epochs": 3, "batch_size": 64, "save_step": 2, "learning_rate": 0.003, **changes})


def not_by_chance(counts: np.ndarray, expected: np.ndarray) -> float:
    """Chi-square of counts against expected counts, in standard deviations above its mean.

    Cells that expect fewer than 5 are joined. Above about 5 the two are not the same distribution.
    """
    counts, expected = np.asarray(counts, dtype=float), np.asarray(expected, dtype=float)
    small = expected < 5
    if small.any():
        counts = np.append(counts[~small], counts[small].sum())
        expected = np.append(expected[~small], expected[small].sum())
    keep = expected > 0
    assert counts[~keep].sum() == 0, "something was drawn that cannot be"
    freedom = max(int(keep.sum()) - 1, 1)
    statistic = float(((counts[keep] - expected[keep]) ** 2 / expected[keep]).sum())
    return (statistic - freedom) / np.sqrt(2 * freedom)


def two_sample(first: np.ndarray, second: np.ndarray) -> float:
    """The same for two tables of counts that should come from one distribution."""
    tables = np.stack([np.ravel(first), np.ravel(second)]).astype(float)  # [2, cells]
    both = tables.sum(axis=0)
    small = both < 10
    tables = np.hstack([tables[:, ~small], tables[:, small].sum(axis=1, keepdims=True)])
    tables = tables[:, tables.sum(axis=0) > 0]
    expected = np.outer(tables.sum(axis=1), tables.sum(axis=0)) / tables.sum()
    freedom = max(tables.shape[1] - 1, 1)
    return (((tables - expected) ** 2 / expected).sum() - freedom) / np.sqrt(2 * freedom)
