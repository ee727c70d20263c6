"""Every router of the service, once, under one versioned prefix."""

from fastapi import APIRouter

from .core.discovery import find_routers
from .core.http.problems import problem_responses

router = APIRouter(
    prefix="/api/v1", responses=problem_responses(400, 422, 429, 500, 503)
)
for feature_router in find_routers():
    router.include_router(feature_router)
