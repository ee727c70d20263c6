"""Messages that are stored with the rows that they are about."""

NEEDS = {"jobs"}
