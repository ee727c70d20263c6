"""FastAPI with one route and nothing else."""

from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI()


class Health(BaseModel):
    """The process responds."""

    status: str = "ok"
    service: str = "order-service"
    version: str = "0.1.0"


@app.get("/health/live")
async def read_liveness() -> Health:
    """Respond without a check."""
    return Health()
