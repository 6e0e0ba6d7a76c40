"""RabbitMQ confirms what `delay()` publishes: who returns has said that the server has it."""

import pytest
from celery.exceptions import OperationalError

import celeriac
from tests import outbox
from tests.outbox import received, timed
from tests.proxy import proxied
from tests.results import results_in

#: Three tries, each with a connection and an answer to be waited for, and a busy machine.
BOUND_SECONDS = 30.0


@pytest.fixture
def proxy(rabbitmq_url):
    with proxied(rabbitmq_url) as made:
        yield made


@pytest.fixture
def app(default_alias, proxy):
    with results_in(default_alias):
        yield outbox.make_app(proxy.url)
        outbox.close()


def note(app):
    return app.tasks["tests.note"]


def publish_in_block(app):
    with celeriac.bulk():
        note(app).delay(1)


@pytest.mark.parametrize("publish", [lambda app: note(app).delay(1), publish_in_block], ids=["delay", "bulk"])
def test_a_server_that_falls_silent_is_an_error_within_seconds(app, proxy, publish):
    note(app).delay(0)
    proxy.fall_silent()

    def fails():
        with pytest.raises(OperationalError, match="was not sent"):
            publish(app)

    assert timed(fails) < BOUND_SECONDS


def test_without_confirmation_such_a_task_counts_as_sent(app, proxy):
    app.conf.broker_transport_options = {"confirm_publish": False}
    note(app).delay(0)
    proxy.fall_silent()

    assert timed(lambda: note(app).delay(1)) < 1


def test_a_lost_connection_is_made_anew_and_confirms_too(app, proxy):
    sent = [note(app).delay(0).id]
    proxy.cut()
    sent.append(note(app).delay(1).id)
    assert [message.headers["id"] for message in received(app, count=2)] == sent
    with app.producer_or_acquire() as producer:
        assert producer.channel.celeriac_confirms


def test_after_an_outage_that_this_process_has_seen_it_goes_on(app, proxy):
    note(app).delay(0)
    proxy.refuse()
    for _ in range(2):
        with pytest.raises(OperationalError, match="was not sent"):
            note(app).delay(1)

    proxy.come_back()

    note(app).delay(2)
    assert [message.payload[0] for message in received(app, count=2)] == [[0], [2]]
