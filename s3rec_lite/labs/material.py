"""What the labs work on: a part of MovieLens-100K and small models at several stages, trained once and kept.

Everything is small on purpose (150 users to train on, width 32), so that a laptop makes it in about a minute and a
lab answers at once. The labs show how things work, not how well S³-Rec does.
"""

import contextlib
import functools
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from s3rec_lite.datasets import SequenceData, cache_root, fingerprint, load_dataset, take_users
from s3rec_lite.model import S3Rec
from s3rec_lite.runs.checkpoints import load_model, save_model
from s3rec_lite.runs.sessions import finetune, pretrain
from s3rec_lite.support.config import FinetuneConfig, ModelConfig, PretrainConfig
from s3rec_lite.support.text import digest

MODEL = ModelConfig(hidden_size=32, inner_size=64, max_length=20, hidden_dropout_prob=0.2, attn_dropout_prob=0.2)
EPOCHS = (1, 5, 20)
USERS = 150
FINETUNING = FinetuneConfig(epochs=25, patience=0)
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


def make_material(data: SequenceData, folder: Path, say: Callable[[str], None] = print) -> Material:
    """Train what is not in ``folder`` yet. Progress is told line by line through ``say``."""
    some = take_users(data, min(USERS, data.num_users))
    key = digest([fingerprint(data), repr(MODEL), repr(FINETUNING), EPOCHS, USERS], 10)
    folder = folder / f"labs-{key}"
    names = (*STAGES, SCRATCH, PRETRAINED)
    paths = {name: folder / f"{name.replace(' ', '-')}.pth" for name in names}
    if not all(path.is_file() for path in paths.values()):
        say("Training small models for the labs; about a minute, only this once.")
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:  # two notebooks may get here at once
            made = Path(scratch) / "made"
            _train(data, some, {name: made / path.name for name, path in paths.items()})
            with contextlib.suppress(OSError):  # the other one was quicker
                made.replace(folder)
        say("Done.")
    models = {name: load_model(path).eval() for name, path in paths.items()}
    return Material(data, some, models)


def _train(data: SequenceData, some: SequenceData, paths: dict[str, Path]) -> None:
    model = S3Rec(data.num_items, data.num_attributes, MODEL)
    save_model(model, paths[INIT])
    for epochs in EPOCHS:
        model = S3Rec(data.num_items, data.num_attributes, MODEL)
        config = PretrainConfig(epochs=epochs, save_step=0)
        pretrain(model, some, config, device="cpu", folder=paths[INIT].parent / "pretraining", progress=False)
        save_model(model, paths[after(epochs)], epoch=epochs)
    for name, start in ((SCRATCH, INIT), (PRETRAINED, after(EPOCHS[-1]))):
        model = load_model(paths[start])
        finetune(model, some, FINETUNING, device="cpu", progress=False)
        save_model(model, paths[name])


@functools.cache
def material() -> Material:
    """The labs' material on ml-100k, below data/runs (or the user's cache); trained when first asked for."""
    return make_material(load_dataset("ml-100k", progress=False), cache_root().parent / "runs")
