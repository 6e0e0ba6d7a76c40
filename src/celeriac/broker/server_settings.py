"""What a broker that is no database is set to, where that loses messages however careful its clients are."""

from collections.abc import Iterator
from typing import Any

_HINT = "See docs/brokers.md."


def faults(app: Any) -> list[str]:
    """Each as one line that says what to do; none where the server does not answer or does not tell."""
    connection = app.connection_for_read()
    try:
        if connection.transport.driver_type != "redis":
            return []
        # Once: who cannot reach it now is told so by Celery.
        connection.ensure_connection(max_retries=0)
        return list(_of_redis(connection.default_channel.client.info()))
    except Exception:  # noqa: BLE001 - a question beside the point, which a managed server may refuse
        return []
    finally:
        connection.release()


def _of_redis(told: dict[str, Any]) -> Iterator[str]:
    """By INFO: some providers do not allow CONFIG."""
    policy = told.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        yield (
            f"Redis deletes keys when its memory is full (maxmemory-policy {policy}), and queues are keys: "
            f"set it to noeviction. {_HINT}"
        )
    if told.get("aof_enabled") == 0:
        yield (
            "Redis keeps no log (appendonly no), and forgets the tasks that wait when it is killed: "
            f"set appendonly yes. {_HINT}"
        )
