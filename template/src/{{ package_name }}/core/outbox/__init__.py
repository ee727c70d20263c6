"""Transactional outbox: messages stay in the database until their job is done."""
