"""Settings of jobs."""

from typing import Self

from pydantic import Field, model_validator

from ..database.settings import PoolSettings


class JobSettings(PoolSettings):
    """The concurrency, timeout and retries of jobs."""

    jobs_concurrency: int = Field(default=10, ge=1)
    """How many jobs a worker runs concurrently, each on its own connection."""

    jobs_max_attempts: int = Field(default=10, ge=1)
    """The number of attempts before a message becomes a dead letter."""

    jobs_backoff_seconds: float = Field(default=10, gt=0)
    """The longest backoff after a job's first failure; doubled by each further one."""

    jobs_redelivery_seconds: float = Field(default=30, gt=0)
    """When a message is redelivered whose job no worker has begun, or whose worker
    crashed; doubled each time."""

    jobs_poll_seconds: float = Field(default=0.5, gt=0)
    """How often a worker polls for messages to publish, in seconds."""

    job_seconds: float = Field(default=60, gt=0)
    """The timeout of one attempt at a job."""

    outbox_days: int = Field(default=7, ge=1)
    """The TTL of messages after their jobs are done."""

    @property
    def idle_in_transaction_seconds(self) -> float:
        """Add a job's timeout: its transaction is idle while its handler waits."""
        return super().idle_in_transaction_seconds + self.job_seconds

    @model_validator(mode="after")
    def refuse_more_jobs_than_connections(self) -> Self:
        """Refuse a concurrency for which the connection pool is too small."""
        connections = self.database_pool_size + self.database_max_overflow
        # One more connection publishes messages meanwhile.
        if self.jobs_concurrency >= connections:
            message = (
                f"JOBS_CONCURRENCY must be less than the {connections} connections of "
                "DATABASE_POOL_SIZE and DATABASE_MAX_OVERFLOW"
            )
            raise ValueError(message)
        return self
