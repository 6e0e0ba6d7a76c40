"""`metrics/` for Prometheus: for whoever has the token, and for the staff of the site."""

import hmac

from django.http import HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from celeriac.app import get_app
from celeriac.conf import options
from celeriac.database.requests import outside_of_transactions
from celeriac.metrics import exposition
from celeriac.metrics.families import families

_SCHEME = "Bearer "


@outside_of_transactions
@never_cache
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Everything as text; 401 for strangers."""
    if not (_has_token(request) or _is_staff(request)):
        answer = HttpResponse("Send the token: Authorization: Bearer …\n", "text/plain", status=401)
        answer["WWW-Authenticate"] = "Bearer"
        return answer
    return HttpResponse(exposition.text(families(get_app())), exposition.CONTENT_TYPE)


def _has_token(request: HttpRequest) -> bool:
    token, given = options().metrics_token, request.headers.get("Authorization", "")
    if not token or not given.startswith(_SCHEME):
        return False
    return hmac.compare_digest(given.removeprefix(_SCHEME).strip().encode(), token.encode())


def _is_staff(request: HttpRequest) -> bool:
    # A project without logins has no user.
    user = getattr(request, "user", None)
    return user is not None and user.is_active and getattr(user, "is_staff", False)
