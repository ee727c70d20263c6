"""A service: routers, services and repositories by feature, over one core."""
