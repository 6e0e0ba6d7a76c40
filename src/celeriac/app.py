"""The project's Celery app: its own one, or one made from the settings, with safe defaults either way."""

import os
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any

from celery import Celery
from celery.app.defaults import _TO_NEW_KEY, _TO_OLD_KEY, SETTING_KEYS
from django.conf import settings
from django.core.signals import setting_changed
from kombu.transport import TRANSPORT_ALIASES  # the one line of kombu outside of `broker`

from celeriac.conf import options, urls_in
from celeriac.defaults import REDIS_OPTIONS, SAFE_DEFAULTS, visible_again
from celeriac.errors import WrongSetting

# kombu finds a transport by this dictionary alone; the string keeps it from being imported here.
TRANSPORT_ALIASES["django"] = "celeriac.broker.transport:Transport"

PREFIX = "CELERY_"
BROKER_URL = "django://"
RESULT_BACKEND = "celeriac.results.backend:DatabaseBackend"
_RESULT_ALIASES = frozenset({"django-db", "django-database"})

_app: Celery | None = None
#: The settings as Celery sees them. Read once: with `config_from_object("django.conf:settings")` every
#: look-up walks Django's lazy settings by several spellings, which takes 12 % of a `delay()` with Celery
#: 5.5 and 26 % with 5.7 (memory transport, medians of 7 rounds of 1,000, 2 cores, 2026-11-24).
_mapping: dict[str, Any] = {}
#: What the app's own settings lacked and `_complete` wrote into its changes.
_filled_in: list[tuple[str, object]] = []


class _BrokenApp(Celery):
    """Stands in when the settings are wrong, so that whoever uses it is told so."""

    error: WrongSetting

    def _load_config(self) -> Any:
        raise self.error


def get_app() -> Celery:
    """The app that every task, command and worker uses. Raises WrongSetting."""
    if _app is None:
        return setup()
    if isinstance(_app, _BrokenApp):
        raise _app.error
    return _app


def app_as_it_is() -> Celery:
    """The app, also one whose settings are wrong: it raises WrongSetting when one of them is asked for."""
    return _app or setup()


def setup() -> Celery:
    """Find or make the app and give it the defaults; done once, when Django is ready."""
    global _app
    _app = _project_app() or _made_app()
    _app.set_default()
    _app.set_current()
    adopt(_app)
    return _app


def setup_broken(error: WrongSetting) -> None:
    """Keep the project importable; `delay()` and every command then raise `error`."""
    global _app
    _app = _BrokenApp("celeriac")
    _app.error = error
    _app.set_default()
    _app.set_current()


def adopt(app: Celery) -> None:
    """Put our defaults below the settings of an app, whether it has read them already or not."""
    app.on_after_configure.connect(lambda **_: _complete(app), weak=False)
    # Where the backend is asked for first, Celery looks at `backend_cls` before it reads the settings.
    app._get_backend = partial(_backend_of, app)
    if app.configured:
        _complete(app)


def _complete(app: Celery) -> None:
    # Not `add_defaults`: what that adds wins over the user's own settings.
    defaults = app.conf.maps[-1]
    for name, value in SAFE_DEFAULTS.items():
        # Where the project uses the names of Celery 3, a default under the new name would hide its setting.
        defaults[name if name in defaults else _TO_OLD_KEY.get(name, name)] = value
    if not app.conf.broker_url:
        _fill_in(app, "broker_url", BROKER_URL)
    urls = [*urls_in(app.conf.broker_read_url), *urls_in(app.conf.broker_write_url)]
    # All of them: another transport may refuse what it does not know.
    if all(url.startswith(("redis", "sentinel")) for url in urls):
        given = app.conf.broker_transport_options or {}
        _fill_in(app, "broker_transport_options", {**REDIS_OPTIONS, **visible_again(app.conf), **given})
    _choose_backend(app)


def _backend_of(app: Celery) -> Any:
    app.conf.finalize()
    return type(app)._get_backend(app)


def _fill_in(app: Celery, name: str, value: object) -> None:
    """Give the setting this value until the project's settings change."""
    # The first spelling that Celery looks for: an empty CELERY_BROKER_URL would win over any other.
    spelled = app.conf._to_keys(name)[0]
    app.conf.changes[spelled] = value
    _filled_in.append((spelled, value))


def _choose_backend(app: Celery) -> None:
    """`django-db` is ours. Its name cannot say so: the entry point of django-celery-results has it."""
    if (app.backend_cls or app.conf.result_backend) in _RESULT_ALIASES:
        app.backend_cls = RESULT_BACKEND
    elif app.backend_cls == RESULT_BACKEND and app.conf.result_backend not in _RESULT_ALIASES:
        app.backend_cls = None
    app._backend_cache = None
    app._local.__dict__.pop("backend", None)


def _project_app() -> Celery | None:
    """The app that the project has made itself."""
    if named := options().app:
        return _named_app(named)
    for package in _project_packages():
        # The package itself too: its `__init__` imports the app from wherever that is made.
        for name in (f"{package}.celery", package):
            if _has_module(name) and (app := _app_in(import_module(name))):
                return app
    return None


def _app_in(module: ModuleType) -> Celery | None:
    found = [value for value in vars(module).values() if isinstance(value, Celery)]
    named = getattr(module, "app", None)
    return named if isinstance(named, Celery) else next(iter(found), None)


def _named_app(dotted: str) -> Celery:
    module_name, _, attribute = dotted.partition(":")
    try:
        app = getattr(import_module(module_name), attribute or "app")
    except (ImportError, AttributeError) as error:
        raise WrongSetting(f"CELERIAC['APP'] = {dotted!r} cannot be imported: {error}") from error
    if not isinstance(app, Celery):
        raise WrongSetting(f"CELERIAC['APP'] = {dotted!r} is not a Celery app but {type(app).__name__}.")
    return app


def _project_packages() -> list[str]:
    """The packages where a project keeps its `celery.py`, nearest to the settings first."""
    packages: list[str] = []
    for dotted in (os.environ.get("DJANGO_SETTINGS_MODULE", ""), getattr(settings, "ROOT_URLCONF", None)):
        parents = str(dotted or "").split(".")[:-1]
        packages += [".".join(parents[:length]) for length in range(len(parents), 0, -1)]
    return list(dict.fromkeys(packages))


def _has_module(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except (ImportError, ValueError):
        return False


def _made_app() -> Celery:
    packages = _project_packages()
    app = Celery(packages[-1] if packages else "celeriac")
    _mapping.clear()
    _mapping.update(read_settings())
    app.config_from_object(_mapping)
    return app


def read_settings() -> dict[str, Any]:
    """Every `CELERY_` setting under Celery's own name; one that Celery does not know stays as it is."""
    given = {name: getattr(settings, name) for name in dir(settings) if name.startswith(PREFIX)}
    values: dict[str, Any] = {"TIME_ZONE": settings.TIME_ZONE}
    for name, value in given.items():
        short = name.removeprefix(PREFIX).lower()
        # The names of Celery 3 beside new ones are an error to Celery, so they reach it under the new ones.
        renamed = _TO_NEW_KEY.get(name) if short not in SETTING_KEYS else None
        if renamed is not None:
            values.setdefault(renamed, value)
            continue
        values[short] = value
        if name not in _TO_NEW_KEY:
            # The project's own look-ups, such as Celery's CELERY_DB_REUSE_MAX, use the full name.
            values[name] = value
    if not values.get("broker_url"):
        values["broker_url"] = BROKER_URL
    return values


def _follow_settings(*, setting: str, **_: object) -> None:
    """Keep up with `override_settings` in tests, whoever made the app."""
    if _app is None or isinstance(_app, _BrokenApp) or not setting.startswith(PREFIX):
        return
    if _mapping:
        _mapping.clear()
        _mapping.update(read_settings())
    if _app.configured:
        _take_back(_app)
        _complete(_app)
    if "BROKER" in setting or setting == "CELERY_RESULT_BACKEND":
        _forget_connections(_app)


def _take_back(app: Celery) -> None:
    for spelled, value in _filled_in:
        if app.conf.changes.get(spelled) is value:
            del app.conf.changes[spelled]
    _filled_in.clear()


def _forget_connections(app: Celery) -> None:
    app._pool = None
    if "amqp" in app.__dict__:
        app.amqp._producer_pool = None


setting_changed.connect(_follow_settings, dispatch_uid="celeriac.app")
