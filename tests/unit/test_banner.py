"""The banner of `celery start`."""

from types import SimpleNamespace

import pytest
from celery import Celery

from celeriac.cli import banner
from celeriac.worker.platform import Decision
from celeriac.worker.preflight import Preflight


@pytest.mark.parametrize(
    ("pool", "autoscale", "shown"),
    [
        ("prefork", None, "prefork × 4 (why)"),
        ("prefork", (3, 1), "prefork × 1–3 (why)"),
        ("threads", [8, 0], "threads × 0–8 (why)"),
        ("solo", None, "solo × 1 (why)"),
        ("solo", (3, 1), "solo × 1 (why)"),
    ],
)
def test_the_size_of_the_pool_is_what_runs_at_once(pool, autoscale, shown):
    app = Celery("banner", broker="memory://", backend="cache+memory://", set_as_current=False)
    worker = SimpleNamespace(hostname="w@h", concurrency=4, autoscale=autoscale)
    decision = Decision(pool, None, None, needs_shim=False, alive_seconds=None, reason="why")
    found = Preflight(None, None, switched_to_wal=False)

    lines = list(banner.lines(app, worker, found, decision))

    assert f"pool     {shown}" in lines
    assert "schedule not in this worker" in lines


@pytest.mark.parametrize("is_there", [True, False])
def test_flower_is_named_where_it_is_installed(monkeypatch, is_there):
    monkeypatch.setattr(banner, "find_spec", lambda _: object() if is_there else None)
    app = Celery("banner", broker="memory://", backend="cache+memory://", set_as_current=False)
    worker = SimpleNamespace(hostname="w@h", concurrency=1, autoscale=None)
    decision = Decision("solo", None, None, needs_shim=False, alive_seconds=None, reason="why")

    lines = list(banner.lines(app, worker, Preflight(None, None, switched_to_wal=False), decision))

    assert ("flower   is installed: manage.py celery flower" in lines) is is_there
