"""The database: sessions, transactions, URLs."""

NEEDS = {"database"}
