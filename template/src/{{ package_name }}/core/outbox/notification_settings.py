"""Settings of the example job: welcome messages for new users."""

from pydantic import HttpUrl

from ..configuration import Configuration


class NotificationSettings(Configuration):
    """The URL that receives welcome messages."""

    notifications_url: HttpUrl | None = None
    """The URL for a POST of each welcome message; without it, they are only logged."""
