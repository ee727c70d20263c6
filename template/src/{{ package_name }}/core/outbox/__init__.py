"""The outbox: messages that are kept in the database until their job is done."""
