"""s3rec_lite: S³-Rec (CIKM 2020) rebuilt to be read, trained and questioned.

Names are imported when they are first used, so that the command line answers at once.
"""

import importlib

__version__ = "0.1.0"

_MODULES = {
    "config": "support.config",
    "course": "course",
    "datasets": "datasets",
    "evaluation": "evaluation",
    "information": "information",
    "interop": "runs.interop",
    "objectives": "objectives",
    "plots": "figures.plots",
    "presets": "experiments.presets",
    "views": "views",
}
_NAMES = {
    "load_model": "runs.checkpoints",
    "save_model": "runs.checkpoints",
    "FinetuneConfig": "support.config",
    "ModelConfig": "support.config",
    "PretrainConfig": "support.config",
    "SequenceData": "data",
    "load_dataset": "datasets",
    "CheckpointError": "support.errors",
    "DataError": "support.errors",
    "S3RecError": "support.errors",
    "SettingError": "support.errors",
    "TrainingError": "support.errors",
    "evaluate": "experiments.reports",
    "S3Rec": "model",
    "compare": "experiments.comparisons",
    "finetune": "runs.sessions",
    "pretrain": "runs.sessions",
}
__all__ = sorted([*_NAMES, *_MODULES])


def __getattr__(name: str):
    if name in _MODULES:
        return importlib.import_module(f"{__name__}.{_MODULES[name]}")
    if name in _NAMES:
        value = getattr(importlib.import_module(f"{__name__}.{_NAMES[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
