"""The fixtures themselves: what they hand out is real, and empty when a test begins."""

import pytest
from django.db import connections
from django_celery_results.models import TaskResult


@pytest.mark.parametrize("run", ["first", "second"])
def test_rows_are_committed_and_gone_in_the_next_test(alias, run):
    TaskResult.objects.using(alias).create(task_id="one")

    seen_elsewhere = connections.create_connection(alias)
    try:
        with seen_elsewhere.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM django_celery_results_taskresult")
            assert cursor.fetchone() == (1,)
    finally:
        seen_elsewhere.close()


@pytest.mark.parametrize("run", ["first", "second"])
def test_redis_is_empty_when_a_test_begins(redis_url, run):
    import redis

    with redis.Redis.from_url(redis_url) as client:
        assert client.dbsize() == 1, "the mark of the session, and nothing else"
        client.set("left", "behind")


def test_a_virtual_host_of_rabbitmq_takes_connections(rabbitmq_url):
    from kombu import Connection

    with Connection(rabbitmq_url, connect_timeout=5) as connection:
        queue = connection.SimpleQueue("one")
        queue.put({"a": 1})
        assert queue.get(timeout=5).payload == {"a": 1}
        queue.close()
