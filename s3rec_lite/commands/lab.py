"""``lab``: JupyterLab on one of the interactive labs."""

import importlib.util
import subprocess
import sys
import tempfile
from pathlib import Path

import click

from s3rec_lite.support.errors import S3RecError
from s3rec_lite.support.text import find_checkout

_LABS = ("loss-weights", "train", "mutual-information", "masking", "segments", "sampled-or-full", "attention")


@click.command(short_help="Open an interactive lab in JupyterLab.")
@click.argument("name", type=click.Choice(_LABS), required=False)
@click.option("--browser/--no-browser", default=True, show_default=True, help="Open the browser by itself.")
@click.option("--port", type=click.IntRange(1, 65535), help="Port on this machine. [default: Jupyter's]")
def lab(name: str | None, browser: bool, port: int | None) -> None:
    """Open the labs, or the lab NAME, in JupyterLab: run its cell and move the sliders.

    The first lab that needs them trains small models, about a minute. Ctrl-C, then y, ends the server.
    """
    if importlib.util.find_spec("jupyterlab") is None:
        raise S3RecError('JupyterLab is not installed; run: pip install "s3rec-lite[notebooks]"')
    with tempfile.TemporaryDirectory() as scratch:
        notebook = _notebook_of(name, Path(scratch)) if name else _notebook_of_all()
        # Address and token stay Jupyter's own defaults: this machine only, and a token made anew each time.
        command = [sys.executable, "-m", "jupyterlab", f"--ServerApp.root_dir={notebook.parent}"]
        command += [f"--LabApp.default_url=/lab/tree/{notebook.name}"]
        command += [] if browser else ["--no-browser"]
        command += [f"--port={port}"] if port else []
        raise SystemExit(_serve(command))


def _notebook_of_all() -> Path:
    """The notebook with all labs. Raises S3RecError where the package was installed without the notebooks."""
    root = find_checkout()
    if root is None:
        raise S3RecError("data/published.json was not found: open the notebooks inside a clone of the project")
    return root / "notebooks" / "labs.ipynb"


def _notebook_of(name: str, folder: Path) -> Path:
    """A notebook with that lab's cell alone. (An address with a heading's anchor would lose Jupyter's token.)"""
    import nbformat

    cell = nbformat.v4.new_code_cell(f'from s3rec_lite import labs\n\nview = labs.show("{name}")')
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    path = folder / f"{name}.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[cell], metadata={"kernelspec": kernel}), path)
    return path


def _serve(command: list[str]) -> int:
    """Run the server until it ends by itself, and return its status.

    Ctrl-C reaches the server too, which then asks whether to stop: waiting goes on meanwhile.
    """
    server = subprocess.Popen(command)
    while True:
        try:
            return server.wait()
        except KeyboardInterrupt:
            continue
