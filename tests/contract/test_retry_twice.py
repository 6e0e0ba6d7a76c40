"""Who sends a task again twice runs it once, also where no state says that it waits."""

import pytest
from celery.exceptions import Reject

from celeriac import control
from celeriac.errors import CannotBeSentAgain
from celeriac.models import Attempt, Message
from celeriac.results.backend import keep_attempt
from celeriac.results.failing import attempt_apart
from tests.results import context, publishing_app, record


@pytest.fixture
def app(broker, monkeypatch):
    with publishing_app(broker) as made:
        monkeypatch.setattr(control, "get_app", lambda: made)
        yield made


def test_a_task_that_ignores_its_result_is_sent_again_once_for_each_end(app, alias):
    def pay():
        """Never runs."""

    pay = app.task(pay, name="shop.pay", shared=False, ignore_result=True)
    task_id = pay.delay().id
    messages = Message.objects.using(alias)

    for run in range(1, 3):
        request = context(task_id, ignore_result=True)
        app.backend.mark_as_failure(task_id, ValueError("no stock"), request=request, store_result=False)
        assert Attempt.objects.using(alias).filter(task_id=task_id).count() == run
        control.retry(task_id)
        with pytest.raises(CannotBeSentAgain, match="nothing says that it has ended"):
            control.retry(task_id)

    assert messages.count() == 3
    assert record(alias, task_id).attempts == 0


def test_a_task_without_a_state_that_gave_its_message_back_is_not_sent_beside_it(app, alias):
    def pay():
        """Never runs."""

    pay = app.task(pay, name="shop.pay", shared=False, ignore_result=True)
    task_id = pay.delay().id
    error = Reject("later", requeue=True)
    keep_attempt(alias, attempt_apart(app, pay.name, context(task_id), error, None))
    assert Attempt.objects.using(alias).get().outcome == "REJECTED"

    with pytest.raises(CannotBeSentAgain, match="nothing says that it has ended"):
        control.retry(task_id)

    assert Message.objects.using(alias).count() == 1
