"""What every assignment must do; each has a test file of its own, so that they run side by side."""

import ast
import html
import importlib.util
import re
import time
from typing import ClassVar

import nbformat
import pytest
from grading import ROOT, Course, without_session_warnings

from tools.grading import REGION, STAND_IN, bound

POINTS = 20
SECONDS = 60


def variants(name):
    """The wrong and the correct but different submissions of an assignment."""
    path = ROOT / "tests" / "checkout" / "assignments" / f"{name}.py"
    spec = importlib.util.spec_from_file_location("variants", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class AssignmentSuite:
    """Inherit, and set ``name``."""

    pytestmark: ClassVar = [pytest.mark.grading, pytest.mark.timeout(900), without_session_warnings]
    name: str
    gradings = 2  # of the instructor's version, to see that marks stay

    @pytest.fixture(scope="class")
    @classmethod
    def course(cls, tmp_path_factory):
        return Course(tmp_path_factory.mktemp("course"), cls.name)

    @pytest.fixture(scope="class")
    @classmethod
    def good(cls, course):
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

    def test_hidden_tests_define_names_of_their_own_so_that_no_helper_of_a_student_is_overwritten(self, good):
        students = {name for source in good.values() for name, _ in bound(ast.parse(source).body)}
        notebook = nbformat.read(ROOT / "notebooks" / "assignments" / self.name / f"{self.name}.ipynb", as_version=4)
        tests = [cell.source for cell in notebook.cells if REGION.search(cell.source)]
        assert len(tests) >= 5
        for source in tests:
            seen = {name for name, _ in bound(ast.parse(REGION.sub("", source)).body)}
            hidden = {name for part in REGION.findall(source) for name, _ in bound(ast.parse(part).body)}
            others = {name for name in hidden if not name.startswith(("hidden_", "reference_", "true_"))}
            assert others <= students | seen, others - students - seen

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
        for source in hidden_tests(course.source):
            assert source not in text, source

    def test_the_instructor_gets_full_marks_again_and_again(self, course, record_property):
        course.submit("instructor", {}, instructor=True)
        seconds = []
        for _ in range(self.gradings):
            begin = time.perf_counter()
            course.autograde("instructor")
            seconds.append(round(time.perf_counter() - begin, 1))
            assert self.lost(course, "instructor") == set()
        record_property("seconds", seconds)
        print(f"{self.name}: the instructor's version runs in {seconds} s")
        assert min(seconds) < 3 * SECONDS  # meant to be one; three is too much on any machine

    def test_the_blank_release_gets_nothing_and_feedback_is_made(self, course):
        course.submit("blank", {})
        marks = course.grade("blank")
        assert marks.points == 0
        assert all(score == 0 for score, _ in course.points("blank").values())
        page = course.build / "feedback" / "blank" / self.name / f"{self.name}.html"
        text = page_text(page)
        assert "NotImplementedError" in text
        assert text.count(STAND_IN) >= 5
        assert not [line for line in hidden_lines(course) if line in text]

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


def hidden_tests(path):
    """The hidden tests of a source version, without indentation and empty lines."""
    cells = nbformat.read(path, as_version=4).cells
    parts = [part.splitlines()[1:-1] for cell in cells for part in REGION.findall(cell.source)]
    return ["\n".join(line.strip() for line in part if line.strip()) for part in parts]


def hidden_lines(course, least=25):
    """Long lines of the hidden tests that students do not see in other cells."""
    seen = "\n".join(cell.source for cell in nbformat.read(course.released, as_version=4).cells)
    lines = {line for source in hidden_tests(course.source) for line in source.splitlines()}
    return {line for line in lines if len(line) >= least and line not in seen}


def page_text(path):
    """What a reader sees of a feedback page."""
    return html.unescape(re.sub(r"<[^>]+>", "", path.read_text(encoding="utf-8")))


def solution_lines(source, least=30):
    """Lines of a solution that are long enough to be recognised elsewhere."""
    inside = re.findall(r"### BEGIN SOLUTION\n(.*?)\s*### END SOLUTION", source, re.S)
    lines = [line.strip() for part in inside for line in part.splitlines()]
    return [line for line in lines if len(line) >= least and not line.startswith(("#", '"""', "return {"))]
