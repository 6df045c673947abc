"""What every assignment must do; each has a test file of its own, so that they run side by side."""

import importlib.util
import re

import nbformat
import pytest
from grading import ROOT, Course

POINTS = 20


def variants(name):
    """The wrong and the correct but different submissions of an assignment."""
    path = ROOT / "tests" / "assignments" / f"{name}.py"
    spec = importlib.util.spec_from_file_location("variants", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class AssignmentSuite:
    """Inherit, and set ``name``."""

    name: str

    @pytest.fixture(scope="class")
    def course(self, tmp_path_factory):
        return Course(tmp_path_factory.mktemp("course"), self.name)

    @pytest.fixture(scope="class")
    def good(self, course):
        return course.instructor_cells()

    def lost(self, course, student):
        """Cells of a graded submission that did not get all their points."""
        return {cell for cell, (score, most) in course.points(student).items() if score < most}

    def test_it_has_twenty_points_and_is_committed_without_outputs(self):
        notebook = nbformat.read(ROOT / "notebooks" / "assignments" / self.name / f"{self.name}.ipynb", as_version=4)
        facts = [cell.metadata.get("nbgrader", {}) for cell in notebook.cells]
        assert sum(fact["points"] for fact in facts if fact.get("grade")) == POINTS
        assert len({fact["grade_id"] for fact in facts if fact}) == len([fact for fact in facts if fact])
        assert not [cell for cell in notebook.cells if cell.get("outputs")]
        text = "\n".join(cell.source for cell in notebook.cells)
        assert "ipywidgets" not in text
        assert re.search(r"[●○]{3}", text)

    def test_the_release_holds_no_solution_hidden_test_or_output(self, course, good):
        notebook = nbformat.read(course.released, as_version=4)
        text = "\n".join(cell.source for cell in notebook.cells)
        assert "SOLUTION" not in text
        assert "HIDDEN" not in text
        assert not [cell for cell in notebook.cells if cell.get("outputs")]
        assert "NotImplementedError" in text
        for source in good.values():
            for line in solution_lines(source, 40):
                assert line not in text, line

    def test_the_instructor_gets_full_marks_again_and_again(self, course):
        course.submit("instructor", {}, instructor=True)
        for _ in range(2):
            course.autograde("instructor")
            assert self.lost(course, "instructor") == set()

    def test_the_blank_release_gets_nothing_and_feedback_is_made(self, course):
        course.submit("blank", {})
        marks = course.grade("blank")
        assert marks.points == 0
        assert all(score == 0 for score, _ in course.points("blank").values())
        page = course.build / "feedback" / "blank" / self.name / f"{self.name}.html"
        assert "NotImplementedError" in page.read_text(encoding="utf-8")

    def test_wrong_answers_lose_the_points_they_should_and_no_others(self, course, good):
        wrong = variants(self.name).WRONG
        assert len(wrong) >= 4
        assert all(lost for _, lost in wrong.values())
        for number, together in enumerate(packed(wrong)):
            cells = {cell: source for what in together for cell, source in wrong[what][0].items()}
            course.submit(f"wrong{number}", {**good, **cells})
            course.autograde(f"wrong{number}")
            expected = {cell for what in together for cell in wrong[what][1]}
            assert self.lost(course, f"wrong{number}") == expected, together

    def test_correct_but_different_answers_get_full_marks(self, course, good):
        correct = variants(self.name).CORRECT
        assert len(correct) >= 2
        for number, (what, cells) in enumerate(correct.items()):
            course.submit(f"correct{number}", {**good, **cells})
            course.autograde(f"correct{number}")
            assert self.lost(course, f"correct{number}") == set(), what


def packed(wrong):
    """Mistakes that touch different cells share a submission: fewer to grade, and each still loses its own points."""
    groups: list[list[str]] = []
    for what, (cells, lost) in wrong.items():
        for group in groups:
            others = [wrong[other] for other in group]
            if all(not set(cells) & set(used) and not set(lost) & set(gone) for used, gone in others):
                group.append(what)
                break
        else:
            groups.append([what])
    return groups


def solution_lines(source, least=30):
    """Lines of a solution that are long enough to be recognised elsewhere."""
    inside = re.findall(r"### BEGIN SOLUTION\n(.*?)\s*### END SOLUTION", source, re.S)
    lines = [line.strip() for part in inside for line in part.splitlines()]
    return [line for line in lines if len(line) >= least and not line.startswith(("#", '"""', "return {"))]
