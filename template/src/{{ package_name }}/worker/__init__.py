"""The worker, which runs jobs, and the scheduler, which sends messages at set times."""
