"""What "nothing lost" asks of Celery and of the way to its broker; each is only a default."""

from typing import Any

#: A Redis that takes the connection and never answers would hold `delay()` for ever; a connection that a
#: firewall forgot is found by the kernel. Not `retry_on_timeout`: that would wait, and may send, twice.
#: And what a killed worker held is looked for every ten seconds: kombu does so each tenth time alone (from
#: 5.7 on this can be chosen), so that an idle worker took it up a hundred seconds after its time.
REDIS_OPTIONS: dict[str, Any] = {
    "socket_connect_timeout": 4,
    "socket_timeout": 4,
    "socket_keepalive": True,
    "unacked_restore_throttle": 1,
}
#: kombu's own: Redis gives a message to another worker when its holder has been silent for so long.
_VISIBLE_AGAIN_SECONDS = 3600
#: Celery's own policy, with one try less: each may take the timeout above.
PUBLISH_RETRIES: dict[str, Any] = {
    "max_retries": 2,
    "interval_start": 0,
    "interval_max": 1,
    "interval_step": 0.2,
}

#: What "nothing lost" asks of Celery. Each is only a default: the same CELERY_ setting wins.
SAFE_DEFAULTS: dict[str, Any] = {
    "result_backend": "django-db",
    "result_extended": True,
    "task_acks_late": True,
    "task_reject_on_worker_lost": True,
    "task_track_started": True,
    "task_publish_retry_policy": PUBLISH_RETRIES,
    "broker_connection_retry_on_startup": True,
    # A worker of Celery's gives up after a hundred tries: an outage over a weekend would leave no worker.
    "broker_connection_max_retries": None,
    # Celery's own default waits for ever when the pool of connections is exhausted (Celery >= 5.7).
    "broker_pool_acquire_timeout": 5,
    "worker_soft_shutdown_timeout": 10.0,
    "worker_enable_soft_shutdown_on_idle": True,
}


def visible_again(conf: Any) -> dict[str, Any]:
    """Redis may not give a message away while its task runs, or waits in its worker behind as many as may."""
    longest = conf.task_time_limit or conf.task_soft_time_limit or 0
    seconds = int(longest * (1 + (conf.worker_prefetch_multiplier or 4)))
    return {"visibility_timeout": seconds} if seconds > _VISIBLE_AGAIN_SECONDS else {}
