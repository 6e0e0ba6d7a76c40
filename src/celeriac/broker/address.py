"""Reading `django://ALIAS`."""

from typing import Any

from celeriac.conf import urls_in
from celeriac.errors import WrongSetting

SCHEME = "django://"


def alias_of(app: Any) -> str | None:
    """The database that the workers of this app read, if one carries its messages; see `alias_in`."""
    return alias_in(urls_in(app.conf.broker_read_url)[0])


def alias_in(url: str) -> str | None:
    """The database alias that a broker URL names; None: the URL is another broker's.

    Raises WrongSetting for anything but an alias: server and password belong into DATABASES.
    """
    if not url.startswith(SCHEME):
        return None
    alias = url.removeprefix(SCHEME).partition("?")[0].strip("/")
    if any(sign in alias for sign in "@:/"):
        raise WrongSetting(
            "CELERY_BROKER_URL = 'django://ALIAS' names an alias of DATABASES, where server and password "
            "belong, and nothing else."
        )
    return alias or "default"
