"""s3rec_lite: S³-Rec (CIKM 2020) rebuilt to be read, trained and questioned.

Names are imported when they are first used, so that the command line answers at once.
"""

import importlib

__version__ = "0.1.0"

_MODULES = (
    "config",
    "course",
    "datasets",
    "evaluation",
    "information",
    "interop",
    "objectives",
    "plots",
    "presets",
    "views",
)
_NAMES = {
    "load_model": "checkpoints",
    "save_model": "checkpoints",
    "FinetuneConfig": "config",
    "ModelConfig": "config",
    "PretrainConfig": "config",
    "SequenceData": "datasets",
    "load_dataset": "datasets",
    "CheckpointError": "errors",
    "DataError": "errors",
    "S3RecError": "errors",
    "SettingError": "errors",
    "TrainingError": "errors",
    "evaluate": "evaluation",
    "S3Rec": "model",
    "compare": "statistics",
    "finetune": "training",
    "pretrain": "training",
}
__all__ = sorted([*_NAMES, *_MODULES])


def __getattr__(name: str):
    if name in _MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    if name in _NAMES:
        value = getattr(importlib.import_module(f"{__name__}.{_NAMES[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
