"""What the labs work on: a part of MovieLens-100K and small models at several stages, trained once and kept.

Everything is small on purpose (150 users to train on, width 32), so that a laptop makes it in about a minute and a
lab answers at once. The labs show how things work, not how well S³-Rec does.
"""

import contextlib
import copy
import functools
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from s3rec_lite.data import SequenceData, fingerprint
from s3rec_lite.datasets import cache_root, load_dataset, take_users
from s3rec_lite.model import S3Rec
from s3rec_lite.runs.checkpoints import load_model, save_model
from s3rec_lite.support.config import FinetuneConfig, ModelConfig, PretrainConfig
from s3rec_lite.support.text import digest
from s3rec_lite.training import finetune, pretrain

SMALL = ModelConfig(
    hidden_size=32, inner_size=64, max_length=20, hidden_dropout_prob=0.2, attn_dropout_prob=0.2
)  # a few hundred steps take seconds
EPOCHS = (1, 5, 20)
_USERS = 150
_FINETUNING = FinetuneConfig(epochs=25, patience=0)
INIT, SCRATCH, PRETRAINED = "init", "fine-tuned from scratch", "fine-tuned after pre-training"


def after(epochs: int) -> str:
    """Name of the model after that many pre-training epochs."""
    return f"{epochs} epoch" if epochs == 1 else f"{epochs} epochs"


STAGES = (INIT, *(after(epochs) for epochs in EPOCHS))
"""models that were pre-trained for longer and longer"""


@dataclass(frozen=True, eq=False)
class Material:
    """Data and models of the labs."""

    data: SequenceData
    """all of it: what models are judged on and sequences are shown from"""
    some: SequenceData
    """the users that pre-training saw"""
    models: dict[str, S3Rec]
    """by stage: `STAGES`, and the two that were fine-tuned"""


@functools.cache
def material() -> Material:
    """The labs' material on ml-100k, below data/runs (or the user's cache); trained when first asked for."""
    return make_material(load_dataset("ml-100k", progress=False), cache_root().parent / "runs")


def make_material(data: SequenceData, folder: Path, say: Callable[[str], None] = print) -> Material:
    """Train what is not in ``folder`` yet. Progress is told line by line through ``say``."""
    some = take_users(data, min(_USERS, data.num_users))
    key = digest([fingerprint(data), repr(SMALL), repr(_FINETUNING), EPOCHS, _USERS], 10)
    folder = folder / f"labs-{key}"
    files = {name: f"{name.replace(' ', '-')}.pth" for name in (*STAGES, SCRATCH, PRETRAINED)}
    if not all((folder / file).is_file() for file in files.values()):
        say("Training small models for the labs; about a minute, only this once.")
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:  # two notebooks may get here at once
            complete = Path(scratch) / "complete"
            for name, model in _train(data, some).items():
                save_model(model, complete / files[name])
            with contextlib.suppress(OSError):  # the other one was quicker
                complete.replace(folder)
        say("Done.")
    return Material(data, some, {name: load_model(folder / file).eval() for name, file in files.items()})


def _train(data: SequenceData, some: SequenceData) -> dict[str, S3Rec]:
    """All models, by name."""
    model = S3Rec(data.num_items, data.num_attributes, SMALL)
    models = {INIT: copy.deepcopy(model)}

    def keep(row: dict[str, float]) -> None:
        if row["epoch"] in EPOCHS:
            models[after(int(row["epoch"]))] = copy.deepcopy(model)

    pretrain(model, some, PretrainConfig(epochs=EPOCHS[-1]), on_epoch=keep)
    for name, start in ((SCRATCH, INIT), (PRETRAINED, after(EPOCHS[-1]))):
        models[name] = copy.deepcopy(models[start])
        finetune(models[name], some, _FINETUNING)
    return models
