"""Conversion of the database URLs that platforms provide."""

from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError


def async_url(url: str, driver: str) -> str:
    """Name the driver, such as ``postgresql+asyncpg``, in a database URL.

    Platforms provide ``postgres://`` and ``sslmode=``; SQLAlchemy requires the driver
    in the scheme, and asyncpg calls the parameter ``ssl``.

    Raises:
        ValueError: it is not the URL of a database of this dialect.
    """
    dialect = driver.partition("+")[0]
    try:
        parsed = make_url(url)
    except ArgumentError:
        message = f"must be a URL that starts with {dialect}://"
        raise ValueError(message) from None
    # "postgres" is the former name of "postgresql".
    if parsed.drivername not in {dialect, driver, dialect.removesuffix("ql")}:
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
