"""What Celery asks of a task whose process was lost: answered also behind a crash of the server."""

from types import SimpleNamespace

import pytest
from celery import states
from celery.worker.request import Request
from django.db import connections

from celeriac.models import ChordPart
from celeriac.results import upsert
from celeriac.worker import uncounted
from tests.contract.test_results_faults import kill_connection
from tests.results import context, make_app, mark, results_in


@pytest.mark.skipif(not hasattr(Request, uncounted._QUESTION), reason="Celery asks from 5.7 on")
def test_the_main_process_knows_what_had_ended_also_after_a_crash_of_the_server(alias):
    if connections[alias].vendor == "sqlite":
        pytest.skip("SQLite has no server.")
    upsert.write(connections[alias], [mark("a", states.SUCCESS, result="1")])
    ChordPart.objects.using(alias).create(group_id="g", task_id="a")
    uncounted.install()

    def job():
        return 1

    with results_in(alias):
        task = make_app().task(job, name="shop.job", shared=False)
        known = {"_context": context("a", group="g", chord={"task": "shop.body"}), "ignore_result": False}
        request = SimpleNamespace(id="a", task=task, **known)
        assert Request._success_was_stored(request)["status"] == states.SUCCESS
        if connections[alias].connection is not None:
            kill_connection(alias)

        assert Request._success_was_stored(request)["status"] == states.SUCCESS
    connections[alias].close()
