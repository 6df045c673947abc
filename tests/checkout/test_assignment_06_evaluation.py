"""Assignment 6, graded."""

from assignment_suite import AssignmentSuite


class TestEvaluation(AssignmentSuite):
    name = "06_evaluation"
