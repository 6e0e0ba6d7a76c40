"""With autocommit off a task belongs to the transaction that the caller ends by hand."""

from collections.abc import Iterator

import pytest
from celery import Celery
from django.db import connections, transaction
from kombu import pools

from celeriac import publisher
from celeriac.broker.queries import base
from celeriac.broker.store import Store
from celeriac.database.session import Session
from celeriac.models import Message
from tests.broker import message, rows


@pytest.fixture
def app(broker: str, default_alias: str) -> Iterator[Celery]:
    """An app that publishes to the database, with one task; its result rows are in the default one."""
    made = Celery("shop", set_as_current=False, broker=f"django://{broker}")
    publisher.install(made)

    @made.task(name="shop.pay", shared=False)
    def pay() -> None:
        """Nothing: it is only published."""

    yield made
    pools.reset()


@pytest.fixture
def manual(broker: str) -> Iterator[str]:
    """The alias, whose transactions are the caller's own affair."""
    transaction.set_autocommit(False, using=broker)
    try:
        yield broker
    finally:
        transaction.rollback(using=broker)
        transaction.set_autocommit(True, using=broker)


def test_a_task_of_a_manual_transaction_that_is_rolled_back_never_existed(manual: str, app: Celery) -> None:
    app.tasks["shop.pay"].delay()
    transaction.rollback(using=manual)

    assert rows(manual) == 0


def test_a_task_of_a_manual_transaction_that_was_begun_before_goes_with_it(manual: str, app: Celery) -> None:
    Message.objects.using(manual).create(queue="mine", available_at=0, published_at=0, payload="{}")
    app.tasks["shop.pay"].delay()
    transaction.rollback(using=manual)

    assert rows(manual) == 0


def test_a_task_of_a_manual_transaction_exists_when_it_is_committed(manual: str, app: Celery) -> None:
    app.tasks["shop.pay"].delay()
    transaction.commit(using=manual)
    transaction.rollback(using=manual)

    assert rows(manual) == 1


def test_a_message_may_be_published_in_a_manual_transaction(manual: str) -> None:
    Store(manual).publish("mails", message())
    transaction.rollback(using=manual)
    assert rows(manual) == 0

    Store(manual).publish("mails", message())
    transaction.commit(using=manual)
    assert rows(manual) == 1


def test_our_own_connections_commit_by_themselves_whatever_the_settings_say(
    broker: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(connections.settings[broker], "AUTOCOMMIT", False)
    session = Session(broker)

    session.run(lambda connection: base.execute(connection, "DELETE FROM celeriac_queue"))

    assert session.connection().get_autocommit()
    session.close()
