"""Publishing: a message belongs to the caller's transaction, arrives as it was, or is refused aloud."""

import json

import pytest
from django.db import DatabaseError, OperationalError, connections, transaction
from django.test import override_settings
from kombu.utils.json import dumps

from celeriac.broker.payload import decode
from celeriac.broker.refusal import MessageTooLarge
from celeriac.broker.store import Store
from celeriac.errors import TablesMissing
from tests.broker import bodies, in_thread, message, publish, rows
from tests.databases import without_table


@pytest.fixture
def busy_once(broker, monkeypatch):
    """Another transaction is in the way of the first insertion; the insertions that were tried."""
    tried = []

    def refuse(execute, sql, *others):
        if sql.startswith("INSERT"):
            tried.append(sql)
            if len(tried) == 1:
                raise OperationalError("busy")
        return execute(sql, *others)

    monkeypatch.setattr("celeriac.database.failures.is_busy", lambda error: str(error) == "busy")
    with connections[broker].execute_wrapper(refuse):
        yield tried


def test_a_committed_message_is_claimable(broker, reader):
    with transaction.atomic(using=broker):
        Store(broker).publish("mails", message("one"))

    assert bodies(reader().claim("mails")) == ["one"]


def test_a_message_published_outside_of_a_transaction_is_claimable_at_once(broker, reader):
    Store(broker).publish("mails", message("one"))

    assert bodies(reader().claim("mails")) == ["one"]


def test_an_uncommitted_message_is_not_claimable(broker, reader):
    claiming = reader()
    claiming.claim("mails")

    with transaction.atomic(using=broker):
        Store(broker).publish("mails", message("one"))
        assert in_thread(lambda: claiming.claim("mails")) == []

    assert bodies(claiming.claim("mails")) == ["one"]


def test_a_rolled_back_message_never_existed(broker, reader):
    with transaction.atomic(using=broker):
        Store(broker).publish("mails", message("one"))
        transaction.set_rollback(True, using=broker)

    assert rows(broker) == 0
    assert reader().claim("mails") == []


def test_a_message_of_a_rolled_back_savepoint_never_existed(broker, reader):
    with transaction.atomic(using=broker):
        Store(broker).publish("mails", message("kept"))
        with transaction.atomic(using=broker):
            Store(broker).publish("mails", message("lost"))
            transaction.set_rollback(True, using=broker)
        Store(broker).publish("mails", message("kept too"))

    assert bodies(reader().claim("mails")) == ["kept", "kept too"]


def test_a_message_of_a_savepoint_goes_with_the_outer_transaction(broker, reader):
    with transaction.atomic(using=broker):
        with transaction.atomic(using=broker):
            Store(broker).publish("mails", message("one"))
        transaction.set_rollback(True, using=broker)

    assert reader().claim("mails") == []


def test_a_database_error_is_raised(broker):
    with without_table(broker, "celeriac_message"), pytest.raises(TablesMissing, match="Run: python manage"):
        Store(broker).publish("mails", message())


def test_a_database_error_in_a_transaction_is_raised_and_breaks_it(broker):
    hidden, refused = without_table(broker, "celeriac_message"), pytest.raises(TablesMissing)
    with hidden, refused, transaction.atomic(using=broker):
        Store(broker).publish("mails", message())


def test_publishing_in_a_broken_transaction_raises(broker):
    with transaction.atomic(using=broker):
        transaction.set_rollback(True, using=broker)
        with pytest.raises(transaction.TransactionManagementError):
            Store(broker).publish("mails", message())


def test_a_database_that_refuses_is_an_error(broker):
    with pytest.raises((DatabaseError, OverflowError)):
        Store(broker).publish("mails", message(expiration=str(2**62)))

    assert rows(broker) == 0


def test_a_busy_database_is_tried_again_outside_of_a_transaction(broker, busy_once):
    Store(broker).publish("mails", message())

    assert (len(busy_once), rows(broker)) == (2, 1)


def test_a_busy_database_is_an_error_at_once_within_a_transaction(broker, busy_once):
    with pytest.raises(OperationalError, match="busy"), transaction.atomic(using=broker):
        Store(broker).publish("mails", message())

    assert (len(busy_once), rows(broker)) == (1, 0)


@pytest.mark.parametrize(
    "body",
    ["", "ünïcødé 漢字 😀", "a\x00b", "\ud800 alone", "\\u0000 %s %% ' \" \n\r\t \x7f", "x" * 100_000],
    ids=["empty", "unicode", "nul", "surrogate", "quotes", "long"],
)
def test_a_message_arrives_as_it_was_published(broker, reader, body):
    whole = message(body, headers={"task": "shop.pay", "text": body}, correlation_id="😀")

    Store(broker).publish("mails", whole)

    [claimed] = reader().claim("mails")
    assert decode(claimed.payload) == whole
    assert claimed.task_name == "shop.pay"


@pytest.mark.parametrize("queue", ["mails.ürgent 😀", "q" * 200, "%s", "it's"])
def test_a_queue_may_have_any_name_of_200_characters(broker, reader, queue):
    publish(broker, queue, "one")

    [claimed] = reader().claim(queue, "another")
    assert claimed.queue == queue


def test_queues_whose_names_differ_in_case_or_accents_are_different_queues(broker, reader):
    names = ["mails", "Mails", "máils"]
    for name in names:
        publish(broker, name, name)

    claiming = reader()

    assert [bodies(claiming.claim(name)) for name in names] == [[name] for name in names]


def test_a_message_of_the_largest_size_arrives(broker, reader):
    whole = message(sized(1024 * 1024))

    Store(broker).publish("mails", whole)

    assert decode(reader().claim("mails")[0].payload) == whole


def test_a_message_over_the_largest_size_is_refused_and_nothing_is_written(broker):
    with transaction.atomic(using=broker):
        with pytest.raises(MessageTooLarge, match="1,048,577 bytes, more than 1,048,576"):
            Store(broker).publish("mails", message(sized(1024 * 1024 + 1)))
        Store(broker).publish("mails", message("the transaction goes on"))

    assert rows(broker) == 1


def test_the_largest_size_counts_bytes_not_characters(broker):
    with override_settings(CELERIAC={"MAX_MESSAGE_BYTES": 1000}), pytest.raises(MessageTooLarge):
        Store(broker).publish("mails", message("ü" * 500))

    assert rows(broker) == 0


def sized(size):
    """A body that makes the whole message so many bytes long."""
    body = "x" * (size - len(dumps(message(""))))
    assert len(json.dumps(message(body)).encode()) >= size
    return body
