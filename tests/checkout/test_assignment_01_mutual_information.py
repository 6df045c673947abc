"""Assignment 1, graded."""

from assignment_suite import AssignmentSuite


class TestMutualInformation(AssignmentSuite):
    name = "01_mutual_information"
