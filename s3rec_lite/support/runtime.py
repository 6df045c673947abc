"""The machine: devices, precision, random streams, memory."""

import contextlib
import ctypes
import platform
import sys
from collections.abc import Iterator

import numpy as np
import torch

from s3rec_lite.support.errors import SettingError

STAGES = {"pretrain": 1, "finetune": 2}


def pick_device(name: str = "auto") -> torch.device:
    """``auto`` takes CUDA, else Apple's MPS, else the CPU. Raises SettingError for a device that is not there."""
    available = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name == "auto":
        return torch.device(next(kind for kind, there in available.items() if there))
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    if device is None or not available.get(device.type, False):
        there = ", ".join(kind for kind, is_there in available.items() if is_there)
        raise SettingError(f"device {name!r} is not available here; choose auto or one of: {there}")
    return device


def random_stream(seed: int, stage: str, epoch: int, batch: int = 0) -> np.random.Generator:
    """The random stream of one batch (from 1), or with ``batch=0`` of the order of an epoch's batches.

    It depends on nothing but these four, so a run taken up after an epoch draws what it would have drawn, and every
    process that works on a batch can make the stream for itself.
    """
    return np.random.Generator(np.random.SFC64(np.random.SeedSequence([seed, STAGES[stage], epoch, batch])))


def arithmetic(precision: str, device: torch.device) -> contextlib.AbstractContextManager[object]:
    """bfloat16 matrix products with ``bf16``, nothing with ``fp32``."""
    if precision == "bf16":
        return torch.autocast(device.type, dtype=torch.bfloat16)
    return contextlib.nullcontext()


@contextlib.contextmanager
def evaluation_mode(model: object) -> Iterator[torch.device]:
    """No gradients and no dropout; afterwards every submodule is in its earlier mode.

    Yields the device of the model's weights; the CPU for anything that is no torch module.
    """
    modules = list(model.modules()) if isinstance(model, torch.nn.Module) else []
    modes = [module.training for module in modules]
    parameter = next(modules[0].parameters(), None) if modules else None
    for module in modules[:1]:
        module.eval()
    try:
        with torch.inference_mode():
            yield torch.device("cpu") if parameter is None else parameter.device
    finally:
        for module, mode in zip(modules, modes, strict=True):
            module.training = mode


def keep_freed_memory() -> bool:
    """Ask the C library to keep freed memory for the next step: fewer page faults; Linux with glibc only.

    A setting of the whole process, so only the command line calls it. Returns whether it was applied.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:  # a C library other than glibc
        return False
    trim_threshold, mmap_threshold = -1, -3
    return bool(mallopt(mmap_threshold, 1 << 30)) and bool(mallopt(trim_threshold, 2**31 - 1))


def machine() -> dict[str, str | int]:
    """What a record needs to say about where it was made."""
    name = platform.processor() or platform.machine()
    with contextlib.suppress(OSError), open("/proc/cpuinfo") as file:
        models = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
        name = models[0] if models else name
    return {
        "processor": name,
        "threads": torch.get_num_threads(),
        "system": platform.system(),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }
