"""Training for studies and searches: what several runs have in common is trained once and shared through folders."""

import dataclasses
from pathlib import Path
from typing import Any

import pandas as pd

from s3rec_lite.data import SequenceData, fingerprint
from s3rec_lite.model import S3Rec
from s3rec_lite.runs.checkpoints import load_model, save_model
from s3rec_lite.runs.folders import epochs_done, folder_for, lasting_settings
from s3rec_lite.runs.sessions import finetune, pretrain
from s3rec_lite.support.config import FinetuneConfig, ModelConfig, PretrainConfig
from s3rec_lite.support.text import digest


@dataclasses.dataclass(frozen=True)
class Trainer:
    """Trains on one data set, in folders below ``runs``; a call for finished weights reads them."""

    data: SequenceData
    runs: Path
    stops: tuple[int, ...]
    """pre-training epochs at which the weights are kept, because some run needs them"""
    device: str
    progress: bool

    @property
    def name(self) -> str:
        """What the files of a pre-training start with."""
        return f"S3Rec-{self.data.name}"

    def pretrained(self, model: ModelConfig, config: PretrainConfig, seed: int) -> tuple[S3Rec, str]:
        """The model after ``config.epochs`` epochs, and a name for it as a start of fine-tuning.

        ``seed`` is that of the weights where there are no epochs; otherwise it is ``config.seed``.
        """
        if not config.epochs:
            return self._fresh(model, seed), digest(["fresh", dataclasses.asdict(model), seed], 10)
        folder = self.pretraining_folder(model, config)
        done = epochs_done(folder, self.name)
        for stop in sorted({*self.stops, config.epochs}):
            kept = self._weights(folder, stop)
            if 0 < stop <= config.epochs and done <= stop and not kept.is_file():
                trained = self._fresh(model, config.seed)
                part = dataclasses.replace(config, epochs=stop, save_step=0)
                pretrain(trained, self.data, part, device=self.device, folder=folder, progress=self.progress)
                save_model(trained, kept, epoch=stop)
        start = f"{self._pretraining_key(model, config)}-{config.epochs}"
        return load_model(self._weights(folder, config.epochs)), start

    def finetuned(self, model: S3Rec, config: FinetuneConfig, *start: Any) -> tuple[pd.DataFrame, Path]:
        """Fine-tune in place; ``start`` identifies the weights. Returns the history and the best checkpoint."""
        folder = self.runs / f"finetune-{digest([*start, dataclasses.asdict(config)], 10)}"
        history = finetune(model, self.data, config, device=self.device, folder=folder, progress=self.progress)
        return history, folder / f"{self.name}-finetuned-best.pth"

    def pretraining_folder(self, model: ModelConfig, config: PretrainConfig) -> Path:
        """Where `pretrained` works: in one folder for all lengths, unless a longer run has passed this one already."""
        shared = self.runs / f"pretrain-{self._pretraining_key(model, config)}"
        if self._weights(shared, config.epochs).is_file():
            return shared
        return folder_for(shared, self.name, config.epochs)

    def _pretraining_key(self, model: ModelConfig, config: PretrainConfig) -> str:
        return digest([dataclasses.asdict(model), lasting_settings(config), fingerprint(self.data)], 10)

    def _weights(self, folder: Path, epochs: int) -> Path:
        return folder / f"{self.name}-{epochs}.pth"

    def _fresh(self, model: ModelConfig, seed: int) -> S3Rec:
        return S3Rec(self.data.num_items, self.data.num_attributes, model, seed=seed)
