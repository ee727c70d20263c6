"""One thing at a time, without a database and without HTTP."""
