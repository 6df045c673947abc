"""Assignment 3, graded."""

from assignment_suite import AssignmentSuite


class TestEncoder(AssignmentSuite):
    name = "03_encoder"
