"""Assignment 7, graded: functions by tests, prose by a person."""

import nbformat
import pytest
from assignment_suite import AssignmentSuite

BY_HAND = 12


class TestProject(AssignmentSuite):
    name = "07_project"
    gradings = 1  # the only one that trains

    @pytest.fixture(scope="class")
    @classmethod
    def good(cls, course):
        """The instructor's cells, but no objective is chosen: then nothing is trained, and the marks are the same."""
        return {**course.instructor_cells(), "choice": "LEFT_OUT = None"}

    def test_the_release_holds_no_model_answer_and_no_mark_scheme(self, course):
        answers = written(course.source)
        assert sum(meta["points"] for meta, _ in answers.values()) == BY_HAND
        release = nbformat.read(course.released, as_version=4)
        text = "\n".join(cell.source for cell in release.cells)
        for grade_id, (_, source) in answers.items():
            assert "**Model answer**" in source and "**Mark scheme**" in source, grade_id
            assert written(course.released)[grade_id][1] == "YOUR ANSWER HERE"
            for line in source.splitlines():
                pieces = [piece.strip() for piece in line.split(".")]
                assert not [piece for piece in pieces if len(piece) >= 30 and piece in text], line
        assert "Mark scheme" not in text
        assert "Model answer" not in text

    def test_written_answers_wait_for_a_person(self, course, good):
        prose = dict.fromkeys(written(course.source), "Nothing can be claimed, because ...")
        course.submit("writer", {**good, **prose})
        marks = course.grade("writer")
        assert marks.points == 20 - BY_HAND
        assert marks.by_hand == BY_HAND
        assert marks.notes == ()


def written(path):
    """Settings and text of every cell that a person marks."""
    cells = nbformat.read(path, as_version=4).cells
    facts = [(cell.metadata.get("nbgrader", {}), cell) for cell in cells if cell.cell_type == "markdown"]
    return {meta["grade_id"]: (meta, cell.source) for meta, cell in facts if meta.get("grade")}
