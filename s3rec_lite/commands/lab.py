"""``lab``: JupyterLab on one of the interactive labs."""

import importlib.util
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import click

from s3rec_lite.support.errors import S3RecError
from s3rec_lite.support.files import write_text

NAMES = (
    "loss-weights", "train", "mutual-information", "masking", "segments", "sampled-or-full", "attention",
)  # fmt: skip
NOTEBOOK = "labs.ipynb"


def lab_command(name: str | None, folder: Path, browser: bool, port: int | None) -> list[str]:
    """The command that opens JupyterLab in ``folder``, on one lab's notebook or on all labs.

    Address and token are Jupyter's own defaults: this machine only, and a token made anew each time. Raises
    S3RecError if JupyterLab is missing.
    """
    if importlib.util.find_spec("jupyterlab") is None:
        raise S3RecError("JupyterLab is not installed; run: pip install -c constraints.txt -e '.[notebooks]'")
    place = f"/lab/tree/{name}.ipynb" if name else f"/lab/tree/{NOTEBOOK}"
    command = [sys.executable, "-m", "jupyterlab", f"--ServerApp.root_dir={folder}", f"--LabApp.default_url={place}"]
    command += [] if browser else ["--no-browser"]
    return command + ([f"--port={port}"] if port else [])


def write_lab_notebook(name: str, folder: Path) -> Path:
    """A notebook with that lab's cell alone. (An address with a heading's anchor would lose Jupyter's token.)"""
    source = f'from s3rec_lite import labs\n\nview = labs.show("{name}")'
    cell = {"cell_type": "code", "id": "lab", "source": source, "metadata": {}, "outputs": [], "execution_count": None}
    kernel = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    path = folder / f"{name}.ipynb"
    write_text(path, json.dumps({"cells": [cell], "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}))
    return path


def serve(command: list[str]) -> int:
    """Run the server until it ends by itself, and return its status.

    Ctrl-C reaches the server too, which then asks whether to stop: waiting goes on meanwhile.
    """
    server = subprocess.Popen(command)
    while True:
        try:
            return server.wait()
        except KeyboardInterrupt:
            continue


@click.command(short_help="Open an interactive lab in JupyterLab.")
@click.argument("name", type=click.Choice(NAMES), required=False)
@click.option("--browser/--no-browser", default=True, show_default=True, help="Open the browser by itself.")
@click.option("--port", type=click.IntRange(1, 65535), help="Port on this machine. [default: Jupyter's]")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def lab(name: str | None, browser: bool, port: int | None, debug: bool) -> None:
    """Open the labs, or the lab NAME, in JupyterLab: run its cell and move the sliders.

    The first lab that needs them trains small models, about a minute. Ctrl-C, then y, ends the server.
    """
    from s3rec_lite.course.numbers import project_root

    with tempfile.TemporaryDirectory() as scratch:
        if name:
            write_lab_notebook(name, Path(scratch))
        folder = Path(scratch) if name else project_root() / "notebooks"
        raise SystemExit(serve(lab_command(name, folder, browser, port)))
