"""Decorators of endpoints: their own parameters are filled by FastAPI, too."""

import functools
import inspect
from collections.abc import Callable
from typing import Any

from fastapi import Request, Response

Endpoint = Callable[..., Any]

UNIQUE = (Request, Response)
"""FastAPI fills one parameter of each of these types."""


def wraps_endpoint(endpoint: Endpoint) -> Callable[[Endpoint], Endpoint]:
    """Make a wrapper look like the endpoint, plus the wrapper's keyword-only parameters.

    FastAPI reads the parameters of an endpoint from its signature. So the wrapper
    can declare dependencies of its own, which the endpoint does not receive. A request
    or response that both want is the endpoint's parameter.
    """

    def wrap(wrapper: Endpoint) -> Endpoint:
        signature = inspect.signature(endpoint, eval_str=True)
        present = signature.parameters.values()
        own = {one.annotation: one.name for one in present if one.annotation in UNIQUE}
        parameters, shared = [*present], {}
        for one in inspect.signature(wrapper, eval_str=True).parameters.values():
            if one.annotation in UNIQUE and one.annotation in own:
                shared[one.name] = own[one.annotation]
            elif one.kind is one.KEYWORD_ONLY:
                parameters.append(one)

        @functools.wraps(endpoint)
        async def wrapped(**arguments: object) -> object:
            both = {mine: arguments[theirs] for mine, theirs in shared.items()}
            return await wrapper(**arguments, **both)

        wrapped.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
        return wrapped

    return wrap
