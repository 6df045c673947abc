"""Hand out and grade the course assignments: `python -m tools.assignments release | grade | marks`.

A thin layer over nbgrader's own interface with the settings of nbgrader_config.py, for what a teacher does most: the
student versions as one archive, all submissions in one call, one line a submission that says what went wrong, and a
table of marks. nbgrader's own commands work beside it.
"""

import contextlib
import csv
import functools
import io
import shutil
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import nbformat

from s3rec_lite.support.errors import S3RecError

_CONFIG = "nbgrader_config.py"
_STOPPED = ("CellTimeoutError", "KeyboardInterrupt")


class Course:
    """The assignments of one folder, by nbgrader's interface.

    Raises S3RecError if nbgrader is not installed or the folder has no nbgrader_config.py.
    """

    def __init__(self, root: Path, timeout: int | None = None):
        try:
            import nbgrader.api
            from nbgrader.apps import NbGraderAPI
            from nbgrader.coursedir import CourseDirectory
        except ImportError:
            raise S3RecError(
                "nbgrader is not installed; run: pip install -c constraints.txt -e '.[teaching]'"
            ) from None
        # nbgrader starts a program for this whenever it opens the gradebook; the answer does not change.
        if not hasattr(nbgrader.api.get_alembic_version, "cache_info"):
            nbgrader.api.get_alembic_version = functools.cache(nbgrader.api.get_alembic_version)
        self.root, config = root, _read_config(root)
        if timeout is not None:
            config.Execute.timeout = timeout
        self.gradebook = lambda: nbgrader.api.Gradebook(config.CourseDirectory.db_url, config.CourseDirectory.course_id)
        self.api = NbGraderAPI(CourseDirectory(config=config), config=config)
        self.build = root / "build" / "nbgrader"

    def names(self) -> list[str]:
        """All assignments, in order."""
        return sorted(path.parent.name for path in (self.root / "notebooks" / "assignments").glob("*/*.ipynb"))

    def students(self, name: str) -> list[str]:
        """Who has handed in this assignment."""
        return sorted(path.parent.name for path in (self.build / "submitted").glob(f"*/{name}"))

    def run_step(self, step: str, *names: str) -> dict[str, Any]:
        """Call a function of nbgrader's interface without its log on the screen; what matters becomes a note."""
        with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
            return getattr(self.api, step)(*names)

    def release(self, name: str) -> Path:
        """Make the student version; returns its folder. Raises S3RecError with nbgrader's reason."""
        result = self.run_step("generate_assignment", name)
        if not result["success"]:
            raise S3RecError(f"{name}: nbgrader could not make the student version: {_last_line(result)}")
        return self.build / "release" / name

    def archive(self, path: Path) -> None:
        """Write all student versions as one zip file."""
        folders = [self.release(name) for name in self.names()]
        path.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as bundle:
            for folder in folders:
                for file in sorted(folder.rglob("*")):
                    if file.is_file():
                        bundle.write(file, f"assignments/{file.relative_to(folder.parent)}")

    def grade(self, name: str, student: str) -> "Marks":
        """Run and mark one submission and write its feedback page; a bad one becomes a note, never an error."""
        notes = list(self._notes_before(name, student))
        result = self.run_step("autograde", name, student)
        if result["success"]:
            self.run_step("generate_feedback", name, student)
            notes += self._notes_after(name, student)
        else:
            self._take_back(name, student)
            notes = notes or [f"it could not be run to its end: {_last_line(result)}"]
        score, most, by_hand = self._points(name, student)
        return Marks(name, student, score, most, by_hand, tuple(notes))

    def _take_back(self, name: str, student: str) -> None:
        """Remove what an earlier submission got: its points by tests, what waits for a person, its feedback page."""
        from nbgrader.api import MissingEntry

        shutil.rmtree(self.build / "feedback" / student / name, ignore_errors=True)
        with self.gradebook() as book, contextlib.suppress(MissingEntry):
            for notebook in book.find_submission(name, student).notebooks:
                for grade in notebook.grades:
                    grade.auto_score, grade.needs_manual_grade = 0, False
            book.db.commit()

    def _points(self, name: str, student: str) -> tuple[float, float, float]:
        """Points, most points, and how many of those still wait for a person."""
        from nbgrader.api import MissingEntry

        with self.gradebook() as book:
            most = book.find_assignment(name).max_score
            try:
                submission = book.find_submission(name, student)
            except MissingEntry:
                return 0.0, most, 0.0
            grades = [grade for notebook in submission.notebooks for grade in notebook.grades]
            waiting = sum(grade.max_score for grade in grades if grade.needs_manual_grade)
            return submission.score, most, waiting

    def _notes_before(self, name: str, student: str) -> Iterator[str]:
        """What is wrong with the files that were handed in."""
        folder = self.build / "submitted" / student / name
        path = folder / f"{name}.ipynb"
        if not path.exists():
            others = sorted(other.name for other in folder.glob("*.ipynb"))
            instead = f" (found {', '.join(others)})" if others else ""
            yield f"no notebook named {name}.ipynb{instead}: it must keep its name"
            return
        try:
            handed_in = _grade_ids(path)
        except Exception:
            yield f"{name}.ipynb is not a notebook that can be read"
            return
        for missing in sorted(_grade_ids(self.build / "release" / name / f"{name}.ipynb") - handed_in):
            yield f"the cell {missing} was deleted: no points for it"

    def _notes_after(self, name: str, student: str) -> Iterator[str]:
        """What happened while it ran: cells that did not end, modules that are not there, helpers defined anew."""
        from tools.grading import redefined

        path = self.build / "autograded" / student / name / f"{name}.ipynb"
        cells = nbformat.read(path, as_version=4).cells
        for where, helper in redefined(cells):
            yield f"the cell {where} redefines {helper}, which the tests use"
        for cell in cells:
            for output in cell.get("outputs", []):
                if output.output_type != "error":
                    continue
                where = cell.metadata.get("nbgrader", {}).get("grade_id", "an extra cell")
                if output.ename in _STOPPED:
                    yield f"the cell {where} did not end and was stopped"
                elif output.ename == "ModuleNotFoundError":
                    yield f"the cell {where} imports something that is not installed: {output.evalue}"

    def marks(self) -> list[dict[str, Any]]:
        """A row for each student and assignment in the gradebook."""
        with self.gradebook() as book:
            return [
                {
                    "assignment": assignment.name,
                    "student": submission.student.id,
                    "points": submission.score,
                    "most": submission.max_score,
                    "waits for a person": bool(submission.needs_manual_grade),
                }
                for assignment in sorted(book.assignments, key=lambda each: each.name)
                for submission in sorted(assignment.submissions, key=lambda each: each.student.id)
            ]


@dataclass(frozen=True)
class Marks:
    """What one submission got."""

    assignment: str
    student: str
    points: float
    most: float
    by_hand: float
    """points that a person still has to give"""
    notes: tuple[str, ...]

    def __str__(self) -> str:
        waiting = f", {self.by_hand:g} more by hand" if self.by_hand else ""
        line = f"{self.assignment}  {self.student}: {self.points:g} of {self.most:g}{waiting}"
        return "\n".join([line, *(f"    {note}" for note in self.notes)])


def _read_config(root: Path) -> Any:
    """nbgrader_config.py of a folder, as nbgrader itself would read it."""
    from traitlets.config import Config

    path, config = root / _CONFIG, Config()
    if not path.exists():
        raise S3RecError(f"{path} is missing; run this in a clone of the project")
    code = compile(path.read_text(encoding="utf-8"), str(path), "exec")
    exec(code, {"get_config": lambda: config, "__file__": str(path)})
    return config


def _grade_ids(path: Path) -> set[str]:
    """Grade ids of the cells that carry points."""
    facts = [cell.metadata.get("nbgrader", {}) for cell in nbformat.read(path, as_version=4).cells]
    return {fact["grade_id"] for fact in facts if fact.get("grade")}


def _last_line(result: dict[str, Any]) -> str:
    """The last exception in nbgrader's log, else its last error."""
    lines = [" ".join(line.split()) for line in (result.get("log") or "").splitlines()]
    errors = [line for line in lines if "Error: " in line] or [line for line in lines if "ERROR" in line]
    return errors[-1].removeprefix("nbclient.exceptions.") if errors else "no reason given"


@click.group()
def main() -> None:
    """Hand out and grade the course assignments; run in the project's folder."""


@main.command()
def release() -> None:
    """Build the student versions, build/s3rec-assignments.zip."""
    path = Path("build") / "s3rec-assignments.zip"
    Course(Path.cwd()).archive(path)
    click.echo(f"wrote {path}")


@main.command()
@click.argument("names", nargs=-1)
@click.option("--timeout", type=click.IntRange(min=1), help="Seconds a cell may run. [default: nbgrader_config.py]")
def grade(names: tuple[str, ...], timeout: int | None) -> None:
    """Grade everything that was handed in (or the assignments NAMES) and write feedback pages."""
    course = Course(Path.cwd(), timeout)
    for name in names or course.names():
        students = course.students(name)
        if students and not (course.build / "release" / name).exists():
            course.release(name)
        for student in students:
            click.echo(str(course.grade(name, student)))


@main.command()
@click.option("--output", default="build/nbgrader/marks.csv", show_default=True, type=click.Path(dir_okay=False))
def marks(output: str) -> None:
    """Write the marks of all students as CSV."""
    rows = Course(Path.cwd()).marks()
    if not rows:
        raise click.ClickException("no marks yet: put submissions in build/nbgrader/submitted and run grade first")
    with Path(output).open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    click.echo(f"wrote {output}, {len(rows)} rows")


if __name__ == "__main__":
    sys.exit(main())
