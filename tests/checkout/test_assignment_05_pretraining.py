"""Assignment 5, graded."""

from assignment_suite import AssignmentSuite


class TestPretraining(AssignmentSuite):
    name = "05_pretraining"
