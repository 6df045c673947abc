"""Run the notebooks: `python -m tools.course times | execute [FILE ...]`.

``times`` runs every chapter on a copy and prints what each takes; ``execute`` runs them in place, so that their
outputs and figures are those of the present code.
"""

import datetime
import os
import sys
import time
from pathlib import Path
from typing import Any

import click
from course.chapters import CHAPTERS
from course.saving import WRITE

from s3rec_lite import __version__
from s3rec_lite.runs.records import to_json
from s3rec_lite.support.files import write_text
from s3rec_lite.support.runtime import machine

_ROOT = Path(__file__).resolve().parents[1]
_NOTEBOOKS = _ROOT / "notebooks"
_TIMES = _ROOT / "data" / "results" / "course-times.json"
_CELL_TIMEOUT = 600  # seconds
_WIDGET = "application/vnd.jupyter.widget-view+json"
_METADATA = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def _run_notebook(path: Path) -> tuple[Any, float]:
    """The notebook with fresh outputs, and the seconds it took, start of the kernel included."""
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(path, as_version=4)
    where = {"metadata": {"path": str(path.parent)}}
    options: dict[str, Any] = {"kernel_name": "python3", "record_timing": False, "coalesce_streams": True}
    client = NotebookClient(notebook, timeout=_CELL_TIMEOUT, resources=where, **options)
    begin = time.perf_counter()
    client.execute()
    return notebook, time.perf_counter() - begin


def _clean(notebook: Any) -> Any:
    """Without what differs from run to run or belongs to one machine."""
    notebook.metadata = dict(_METADATA)
    for number, cell in enumerate(notebook.cells):
        cell.id = f"c{number:03d}"
        names = sorted({"nbgrader", "tags"} & set(cell.metadata))
        cell.metadata = {name: cell.metadata[name] for name in names}
        for output in cell.get("outputs", []):
            output.get("data", {}).pop(_WIDGET, None)  # it needs a kernel; the picture beside it does not
    return notebook


@click.group()
def main() -> None:
    """Run the notebooks of the course."""


@main.command()
@click.argument("files", nargs=-1, type=click.Path(exists=True, dir_okay=False, path_type=Path))
def execute(files: tuple[Path, ...]) -> None:
    """Run notebooks in place and write their figures; all of them without FILES."""
    import nbformat

    os.environ[WRITE] = "1"
    os.environ.pop("MPLBACKEND", None)  # it would switch inline figures off
    for path in files or sorted(_NOTEBOOKS.glob("*.ipynb")):
        notebook, seconds = _run_notebook(path.resolve())
        write_text(path, nbformat.writes(_clean(notebook)) + "\n")
        click.echo(f"{path.name}: {seconds:.1f} s")


@main.command()
@click.option("--write", is_flag=True, help="Also keep the table in data/results/course-times.json.")
def times(write: bool) -> None:
    """Measure what running each chapter takes; changes no notebook."""
    seconds = {}
    for chapter in CHAPTERS:
        seconds[chapter.file] = round(_run_notebook(_NOTEBOOKS / chapter.file)[1], 1)
        click.echo(f"{chapter.label:40} {seconds[chapter.file]:6.1f} s")
    click.echo(f"{'all':40} {sum(seconds.values()):6.1f} s")
    if write:
        date = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        record = {"name": _TIMES.stem, "kind": "course-times", "kit": __version__, "date": date, "machine": machine()}
        write_text(_TIMES, to_json({**record, "seconds": seconds}) + "\n")


if __name__ == "__main__":
    sys.exit(main())
