"""Workers and the scheduler."""

NEEDS = {"jobs"}
