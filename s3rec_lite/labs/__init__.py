"""Labs: sliders that answer at once. `show("masking")` in a notebook, or `s3rec-lite lab masking`.

A module for each lab (``loss_weights``, ``mutual_information``, ``masking``, ``segments``, ``attention``,
``sampled_or_full``, ``train``) has its controls, a pure function that returns numbers, and the picture. `lab` is what
they are built from, `view` puts widgets around them, `material` holds data and trained models, `films` people and
titles. The lab "segments" also has `segment_cuts`; the lab "train" has `runs` (a training run), `job` (a run in a
thread) and `run_figures`.
"""

import base64
import functools
import gc
import importlib
from typing import Any

from s3rec_lite.labs.lab import Lab
from s3rec_lite.labs.material import Material, material
from s3rec_lite.support.errors import SettingError

LABS = {
    "loss-weights": "loss_weights",
    "train": "train",
    "mutual-information": "mutual_information",
    "masking": "masking",
    "segments": "segments",
    "sampled-or-full": "sampled_or_full",
    "attention": "attention",
}
"""name of a lab to its module; every module has ``make_lab(material)``"""
_HINT = "On a web page these are pictures only. To move the sliders, run <code>make lab</code> and this cell."
_OPEN: dict[str, Any] = {}  # views by name: showing a lab again closes its widgets first

__all__ = ["LABS", "Material", "make_lab", "material", "show"]


def make_lab(name: str, using: Material | None = None) -> Lab:
    """The pure lab of that name: controls and ``answer(**settings)``. Raises SettingError for an unknown name."""
    if name not in LABS:
        raise SettingError(f"no lab {name!r}; there are {', '.join(LABS)}")
    module = importlib.import_module(f"{__name__}.{LABS[name]}")
    if using is None and name != "mutual-information":  # which needs none
        using = material()
    return module.make_lab(using)


def show(name: str, using: Material | None = None) -> Any:
    """Display a lab in a notebook and return its view.

    The output also holds a picture of the opening state and a line that says how to run the lab, for readers
    without a kernel. Showing the same lab again closes the earlier widgets.
    """
    from IPython.display import HTML, display

    from s3rec_lite.labs.view import LabView

    if name in _OPEN:
        _OPEN.pop(name).close()
    lab = make_lab(name, using)
    _freeze_objects()
    view = _OPEN[name] = (lab.make_view or LabView)(lab)
    widget = {"version_major": 2, "version_minor": 0, "model_id": view.root.model_id}
    bundle = {"application/vnd.jupyter.widget-view+json": widget, "text/plain": f"Lab: {lab.title}"}
    if view.image.value:
        bundle["image/png"] = base64.b64encode(view.image.value).decode()
    display(bundle, metadata={"image/png": {"alt": f"{lab.title}. {view.alt}"}}, raw=True)
    display(HTML(f"<small>{_HINT}</small>"))
    return view


@functools.cache
def _freeze_objects() -> None:
    """Once a process: no garbage collection looks again at what exists now (libraries, data, models).

    There are some 400,000 such objects, and going through them all takes longer than an answer to a slider.
    """
    gc.collect()
    gc.freeze()
