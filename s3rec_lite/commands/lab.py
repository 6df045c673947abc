"""``lab``: JupyterLab on one of the interactive labs."""

import importlib.util
import subprocess
import sys

import click

from s3rec_lite.errors import S3RecError

NAMES = (
    "loss-weights", "train", "mutual-information", "masking", "segments", "sampled-or-full", "attention",
)  # fmt: skip
NOTEBOOK = "labs.ipynb"


def lab_command(name: str | None, browser: bool, port: int | None) -> list[str]:
    """The command that opens JupyterLab on the labs' notebook, at one lab if a name is given.

    Address and token are Jupyter's own defaults: this machine only, and a token made anew each time. Raises
    S3RecError if JupyterLab or the notebook is missing.
    """
    if importlib.util.find_spec("jupyterlab") is None:
        raise S3RecError("JupyterLab is not installed; run: pip install -c constraints.txt -e '.[notebooks]'")
    from s3rec_lite.course.numbers import project_root

    folder = project_root() / "notebooks"
    if not (folder / NOTEBOOK).is_file():
        raise S3RecError(f"{folder / NOTEBOOK} is missing; run this in a clone of the project")
    place = f"/lab/tree/{NOTEBOOK}" + (f"#Lab:-{name}" if name else "")
    command = [
        sys.executable, "-m", "jupyterlab", f"--ServerApp.root_dir={folder}", f"--LabApp.default_url={place}",
    ]  # fmt: skip
    command += [] if browser else ["--no-browser"]
    return command + ([f"--port={port}"] if port else [])


@click.command(short_help="Open an interactive lab in JupyterLab.")
@click.argument("name", type=click.Choice(NAMES), required=False)
@click.option("--browser/--no-browser", default=True, show_default=True, help="Open the browser by itself.")
@click.option("--port", type=click.IntRange(1, 65535), help="Port on this machine. [default: Jupyter's]")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def lab(name: str | None, browser: bool, port: int | None, debug: bool) -> None:
    """Open the labs, or the lab NAME, in JupyterLab: run its cell and move the sliders.

    The first lab that needs them trains small models, about a minute. Ctrl-C ends the server.
    """
    command = lab_command(name, browser, port)
    raise SystemExit(subprocess.run(command).returncode)
