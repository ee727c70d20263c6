"""Decorators of endpoints: their own parameters are filled by FastAPI, too."""

import functools
import inspect
from collections.abc import Callable
from typing import Any

Endpoint = Callable[..., Any]


def wraps_endpoint(endpoint: Endpoint) -> Callable[[Endpoint], Endpoint]:
    """Make a wrapper look like the endpoint, plus the wrapper's keyword-only parameters.

    FastAPI reads the parameters of an endpoint from its signature. So the wrapper
    can declare dependencies of its own, which the endpoint does not receive.
    """

    def wrap(wrapper: Endpoint) -> Endpoint:
        added = inspect.signature(wrapper, eval_str=True).parameters.values()
        signature = inspect.signature(endpoint, eval_str=True)
        parameters = [
            *signature.parameters.values(),
            *(one for one in added if one.kind is one.KEYWORD_ONLY),
        ]
        functools.update_wrapper(wrapper, endpoint)
        wrapper.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
        return wrapper

    return wrap
