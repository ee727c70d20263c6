"""The forms in which platforms hand out a database URL, made one."""

from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError


def async_url(url: str, driver: str) -> str:
    """Name the asynchronous driver in a database URL.

    Platforms hand out ``postgres://`` and ``sslmode=``; SQLAlchemy wants the driver
    in the scheme, and asyncpg calls the parameter ``ssl``.

    Args:
        url: The URL as it was given.
        driver: The dialect and driver to use, such as ``postgresql+asyncpg``.

    Raises:
        ValueError: it is not the URL of a database that the driver can reach.
    """
    dialect = driver.partition("+")[0]
    try:
        parsed = make_url(url)
    except ArgumentError:
        message = f"must be a URL that starts with {dialect}://"
        raise ValueError(message) from None
    aliases = {"postgres"} if dialect == "postgresql" else set()
    if parsed.drivername not in {dialect, driver} | aliases:
        message = f"must start with {dialect}://"
        raise ValueError(message)
    if not parsed.database:
        message = "must name the database after the last slash"
        raise ValueError(message)
    query = dict(parsed.query)
    if "sslmode" in query:
        query["ssl"] = query.pop("sslmode")
    return parsed.set(drivername=driver, query=query).render_as_string(
        hide_password=False
    )
