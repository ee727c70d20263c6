"""Several server processes behind one port."""

NEEDS = {"processes"}
