"""How the pool is started on each platform, with each Celery and each choice of the user's."""

import os
import sys

import billiard
import celery
import pytest
from celery import Celery
from django.test import override_settings

from celeriac.worker import platform
from celeriac.worker.platform import Decision, apply, chosen_in_settings, decide, decide_here

OLD, NEW = (5, 5), (5, 7)


@pytest.mark.parametrize("version", [OLD, NEW])
def test_linux_forks(version):
    decision = decide("linux", celery_version=version)

    assert decision == Decision("prefork", None, None, False, None, "forked, the default")


@pytest.mark.parametrize(("version", "needs_shim"), [(OLD, True), ((5, 6), True), (NEW, False)])
def test_macos_spawns_few_children_and_gives_them_time(version, needs_shim):
    decision = decide("darwin", celery_version=version)

    assert (decision.pool, decision.start_method, decision.concurrency) == ("prefork", "spawn", 4)
    assert decision.needs_shim is needs_shim
    assert decision.alive_seconds >= 60
    assert "macOS" in decision.reason


def test_macos_keeps_the_users_concurrency():
    assert decide("darwin", celery_version=NEW, concurrency=9).concurrency is None


def test_macos_forks_when_the_user_says_so():
    decision = decide("darwin", celery_version=NEW, start_method="fork")

    assert (decision.start_method, decision.reason) == ("fork", "forked, as chosen")


@pytest.mark.parametrize("version", [OLD, NEW])
def test_windows_has_threads(version):
    decision = decide("win32", celery_version=version)

    assert (decision.pool, decision.needs_shim) == ("threads", False)


@pytest.mark.parametrize(("version", "needs_shim"), [(OLD, True), (NEW, False)])
def test_prefork_on_windows_is_spawned_by_choice(version, needs_shim):
    decision = decide("win32", celery_version=version, pool="prefork")

    assert (decision.pool, decision.needs_shim, decision.start_method) == ("prefork", needs_shim, None)
    assert decision.alive_seconds >= 60


@pytest.mark.parametrize("system", ["linux", "darwin", "win32"])
@pytest.mark.parametrize("pool", ["threads", "solo", "gevent"])
def test_a_chosen_pool_without_processes_needs_nothing(system, pool):
    assert decide(system, celery_version=OLD, pool=pool) == Decision(
        pool, None, None, False, None, "as chosen"
    )


@pytest.mark.parametrize(("version", "needs_shim"), [(OLD, True), (NEW, False)])
def test_linux_spawns_by_choice_with_all_its_cores(version, needs_shim):
    decision = decide("linux", celery_version=version, start_method="spawn")

    assert (decision.start_method, decision.concurrency) == ("spawn", None)
    assert decision.needs_shim is needs_shim


def test_this_machine_is_asked_by_its_own_names(monkeypatch):
    monkeypatch.setattr(sys, "platform", "win32")

    assert decide_here().pool == "threads"
    assert decide_here(pool="solo").pool == "solo"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert decide_here().needs_shim is (celery.VERSION[:2] < NEW)


@pytest.fixture
def app(monkeypatch):
    """An app, and a process that forgets afterwards what was applied to it."""
    monkeypatch.setenv("FORKED_BY_MULTIPROCESSING", "")
    monkeypatch.delenv("FORKED_BY_MULTIPROCESSING")
    yield Celery("platform", set_as_current=False)
    billiard.set_start_method(None, force=True)


def test_spawning_tells_the_children_and_gives_them_time(app):
    apply(decide("darwin", celery_version=OLD), app)

    assert os.environ["FORKED_BY_MULTIPROCESSING"] == "1"
    assert billiard.get_start_method() == app.conf.worker_pool_start_method == "spawn"
    assert app.conf.worker_proc_alive_timeout == 60
    assert app.conf.worker_concurrency == min(4, os.cpu_count() or 1)


def test_spawning_keeps_what_the_user_set(app):
    app.conf.update(worker_proc_alive_timeout=90, worker_concurrency=7)

    apply(decide("darwin", celery_version=NEW), app)

    assert (app.conf.worker_proc_alive_timeout, app.conf.worker_concurrency) == (90, 7)
    assert "FORKED_BY_MULTIPROCESSING" not in os.environ


def test_forking_changes_nothing(app):
    before = dict(app.conf)

    apply(decide("linux", celery_version=OLD), app)

    assert dict(app.conf) == before


@pytest.mark.parametrize("namespace", ["CELERY", None])
def test_a_pool_from_the_settings_counts_as_chosen(namespace):
    name = "CELERY_WORKER_POOL" if namespace else "worker_pool"
    app = Celery("platform", set_as_current=False)
    app.config_from_object({name: "threads"}, namespace=namespace)

    assert chosen_in_settings(app, "worker_pool") == "threads"
    assert chosen_in_settings(app, "worker_pool_start_method") is None


def test_celerys_default_pool_does_not_count_as_chosen():
    with override_settings(CELERY_TASK_DEFAULT_QUEUE="post"):
        app = Celery("platform", set_as_current=False)
        app.config_from_object("django.conf:settings", namespace="CELERY")

        assert app.conf.worker_pool == "prefork"
        assert platform.chosen_in_settings(app, "worker_pool") is None
