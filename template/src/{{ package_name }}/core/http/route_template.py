"""The template of the route that a request has reached: one name for many paths."""

from starlette.types import Scope

UNMATCHED = "unmatched"
"""The name of all requests without a route, or each path would be one more name."""


def route_template(scope: Scope) -> str:
    """Return the route's path with its prefix and without values: ``/items/{item_id}``.

    The route is known only after the request was handled. A request that was refused
    before, such as one too many, has no route.
    """
    # FastAPI stores where a router was included, which the route itself does not know.
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
    # A Starlette route has no template; without parameters, it is the path.
    if scope.get("path_params"):
        return UNMATCHED
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))


def _mounted_at(scope: Scope) -> str:
    root: str = scope.get("root_path", "")
    # Starlette sets the server's own root path only in mounted applications.
    return root.removeprefix(scope.get("app_root_path", root))
