"""Which route a request has reached, named so that few names stand for many paths."""

from starlette.types import Scope

UNMATCHED = "unmatched"
"""All requests that reach no route share this name, or each path would be one more."""


def route_template(scope: Scope) -> str:
    """Give the route's path with its prefix and without values: ``/items/{item_id}``.

    Only once the request has been handled is it known which route that was. What is
    refused before it, such as too many requests, has reached none.
    """
    # FastAPI says where a router was included, which the route itself does not know.
    context = (scope.get("fastapi") or {}).get("effective_route_context")
    route = context or scope.get("route")
    template: str | None = getattr(route, "path_format", None)
    mounted_at = _mounted_at(scope)
    if template is not None:
        return mounted_at + template
    if "endpoint" not in scope:
        return UNMATCHED
    if mounted_at:
        return mounted_at + "/{path}"
    # A route of Starlette's tells nothing of itself; without values, it is the path.
    if scope.get("path_params"):
        return UNMATCHED
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))


def _mounted_at(scope: Scope) -> str:
    root: str = scope.get("root_path", "")
    # Starlette notes the server's own root only where something is mounted below it.
    return root.removeprefix(scope.get("app_root_path", root))
