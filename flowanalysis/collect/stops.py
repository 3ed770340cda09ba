"""Why a request or a collection ended early, as the drivers need to tell it apart.

All are ``HonestStop``: what was read before is kept, and the manifest says what is missing.
"""

from __future__ import annotations

from datetime import datetime

from flowanalysis.errors import HonestStop

__all__ = ["BadRequest", "Interrupted", "NotFound", "NotPermitted", "StartOver"]


class Interrupted(HonestStop):
    """Nothing is wrong with the data, only with the moment: run the same command again to go on.

    Attributes
    ----------
    retry_at : datetime or None
        When the server wants to be asked again (UTC), where it said so.
    """

    def __init__(self, text: str, *, retry_at: datetime | None = None) -> None:
        super().__init__(text)
        self.retry_at = retry_at


class Answered(HonestStop):
    """The server answered with a refusal that trying again will not change.

    Attributes
    ----------
    status : int
        HTTP status.
    code : str
        The server's own error code, empty where it sent none.
    """

    def __init__(self, text: str, *, status: int, code: str = "") -> None:
        super().__init__(text)
        self.status, self.code = status, code


class NotPermitted(Answered):
    """403: the signed-in identity may not read this."""


class NotFound(Answered):
    """404: it does not exist, or the service is not set up there."""


class BadRequest(Answered):
    """Another 4xx, such as a feature that the tenant's licence lacks."""


class StartOver(Answered):
    """The place in the list is lost (expired page token, 410): the list must be read from its start."""
