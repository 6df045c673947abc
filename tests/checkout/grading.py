"""A course in an empty folder with one assignment, and students who hand in variants of it."""

import shutil
from collections.abc import Mapping
from pathlib import Path

import nbformat
import pytest

from tools.assignments import Course as PlainCourse

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ROOT / "notebooks" / "assignments"
# nbgrader builds a submission before it puts it into the session of the gradebook; it is stored all the same.
without_session_warnings = pytest.mark.filterwarnings("ignore:Object of type <Submitted:sqlalchemy.exc.SAWarning")


def assignments() -> list[str]:
    """Names of all assignments."""
    return sorted(path.parent.name for path in SOURCES.glob("*/*.ipynb"))


class Course(PlainCourse):
    """One assignment, its release and some students."""

    def __init__(self, root: Path, name: str, timeout: int = 60):
        self.name = name
        shutil.copytree(SOURCES / name, root / "notebooks" / "assignments" / name)
        shutil.copy(ROOT / "nbgrader_config.py", root)
        super().__init__(root, timeout)
        self.released = self.release(name) / f"{name}.ipynb"
        self.source = SOURCES / name / f"{name}.ipynb"

    def submit(
        self, student: str, cells: Mapping[str, str], *, instructor: bool = False, file: str | None = None
    ) -> Path:
        """Hand in the release (or the instructor's version) with some cells, by grade id, replaced."""
        notebook = nbformat.read(self.source if instructor else self.released, as_version=4)
        left = dict(cells)
        for cell in notebook.cells:
            name = cell.metadata.get("nbgrader", {}).get("grade_id")
            if name in left:
                cell.source = left.pop(name)
        assert not left, f"no cells {sorted(left)}"
        path = self.build / "submitted" / student / self.name / (file or f"{self.name}.ipynb")
        path.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(notebook, path)
        return path

    def instructor_cells(self) -> dict[str, str]:
        """The source of every solution cell."""
        notebook = nbformat.read(self.source, as_version=4)
        facts = [(cell.metadata.get("nbgrader", {}), cell) for cell in notebook.cells]
        return {meta["grade_id"]: cell.source for meta, cell in facts if meta.get("solution") and not meta.get("grade")}

    def grade(self, *names: str):
        """Grade one student of this assignment, or, as for a teacher, an assignment and a student."""
        return super().grade(*names) if len(names) == 2 else super().grade(self.name, names[0])

    def autograde(self, student: str) -> None:
        """Run and mark only, without the feedback page."""
        result = self.run_step("autograde", self.name, student)
        assert result["success"], result.get("log")

    def points(self, student: str) -> dict[str, tuple[float, float]]:
        """Points and most points of every automatically graded cell."""
        with self.gradebook() as book:
            found = book.find_submission(self.name, student)
            return {
                grade.name: (grade.score, grade.max_score)
                for notebook in found.notebooks
                for grade in notebook.grades
                if grade.cell.cell_type == "code"
            }
