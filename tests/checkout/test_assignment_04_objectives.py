"""Assignment 4, graded."""

from assignment_suite import AssignmentSuite


class TestObjectives(AssignmentSuite):
    name = "04_objectives"
