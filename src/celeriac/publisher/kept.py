"""A task's message as its record keeps it: read as data, and sent once more as it was.

No signal of Celery's is sent, whose receivers would change it.
"""

import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from celery import Celery
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from celeriac.broker import payload
from celeriac.errors import CannotBeSentAgain
from celeriac.results.pending import Published
from celeriac.results.reviving import Part

#: What a task of its own has no part in.
_OF_A_WORKFLOW = ("chain", "chord")


@dataclass(frozen=True, slots=True)
class Kept:
    """A message with its route."""

    task_id: str
    body: Any
    headers: dict[str, Any]
    properties: dict[str, Any]
    route: dict[str, Any]
    text: str

    @classmethod
    def read(cls, task_id: str, text: str) -> "Kept":
        """The message in a record's text. Raises CannotBeSentAgain."""
        try:
            message = json.loads(text)
            # Other serializers want the values that JSON only names.
            if message["route"].get("serializer", "json") != "json":
                message = payload.decode(text)
            parts = (message["body"], *(message[name] for name in ("headers", "properties", "route")))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise CannotBeSentAgain("its record holds no message that can be read") from error
        body, headers, properties, route = parts
        return cls(task_id, body, unexpired(headers), _unexpired_properties(headers, properties), route, text)

    @property
    def name(self) -> str:
        return str(self.headers.get("task") or "")

    @property
    def embedded(self) -> dict[str, Any]:
        """What follows the task; protocol 1 is left to Celery."""
        is_of_protocol_2 = isinstance(self.body, list | tuple) and len(self.body) == 3
        embedded = self.body[2] if is_of_protocol_2 else None
        return embedded if isinstance(embedded, dict) else {}

    def followers(self) -> list[str]:
        """The ids of those that fail with it and do not run: the rest of its chain, the body of its chord."""
        chain = self.embedded.get("chain")
        following = [*(chain if isinstance(chain, list | tuple) else ()), self.embedded.get("chord")]
        options = [each.get("options") for each in following if isinstance(each, dict)]
        ids = [each.get("task_id") for each in options if isinstance(each, dict)]
        return [each for each in ids if each and isinstance(each, str)]

    def part(self) -> Part | None:
        """Its place in the header of a chord."""
        group_id = self.headers.get("group")
        if not isinstance(group_id, str) or not group_id or not self.embedded.get("chord"):
            return None
        return Part(group_id, self.task_id)

    def as_new(self, task_id: str) -> "Kept":
        """The same as a task of its own: in no group, chain or chord, whose ids are others' already."""
        if not self.headers.get("id"):
            raise CannotBeSentAgain("a message of task protocol 1 has no new id")
        headers = {
            **self.headers,
            "id": task_id,
            "root_id": self.headers.get("root_id") or self.task_id,
            "group": None,
            "group_index": None,
        }
        args, kwargs, embedded = self.body
        alone = {key: None if key in _OF_A_WORKFLOW else value for key, value in (embedded or {}).items()}
        return replace(
            self,
            task_id=task_id,
            headers=headers,
            body=[args, kwargs, alone],
            properties={**self.properties, "correlation_id": task_id},
        )

    def published(self) -> Published:
        """What a record and a row in PENDING say of it."""
        headers = self.headers
        message = {
            "body": self.body,
            "headers": headers,
            "properties": self.properties,
            "route": self.route,
        }
        eta, expires = (headers.get(name) for name in ("eta", "expires"))
        return Published(
            task_id=self.task_id,
            name=self.name,
            args_repr=headers.get("argsrepr"),
            kwargs_repr=headers.get("kwargsrepr"),
            queue=str(self.route.get("queue") or self.route.get("routing_key") or ""),
            priority=self.properties.get("priority"),
            eta=parse_datetime(eta) if eta else None,
            expires=parse_datetime(expires) if expires else None,
            parent_id=headers.get("parent_id"),
            root_id=headers.get("root_id"),
            ignore_result=bool(headers.get("ignore_result")),
            message=payload.encode(message),
        )

    def send(self, app: Celery, producer: Any) -> None:
        """Publish it where it was published: what `delay()` looks up, its route says."""
        exchange, routing_key, queue = _destination(app, self.route)
        producer.publish(
            self.body,
            exchange=exchange,
            routing_key=routing_key,
            declare=[] if queue is None else [queue],
            serializer=self.route.get("serializer") or app.conf.task_serializer,
            compression=self.route.get("compression"),
            delivery_mode=self.route.get("delivery_mode"),
            retry=app.conf.task_publish_retry,
            retry_policy=dict(app.conf.task_publish_retry_policy),
            headers=dict(self.headers),
            **{key: value for key, value in self.properties.items() if value is not None},
        )


def unexpired(headers: dict[str, Any]) -> dict[str, Any]:
    """Without an expiry that has passed: who sends it again wants it to run."""
    return {**headers, "expires": None} if _has_expired(headers) else headers


def _unexpired_properties(headers: dict[str, Any], properties: dict[str, Any]) -> dict[str, Any]:
    if not _has_expired(headers):
        return properties
    return {key: value for key, value in properties.items() if key != "expiration"}


def _has_expired(headers: dict[str, Any]) -> bool:
    given = headers.get("expires")
    try:
        expires = parse_datetime(given) if isinstance(given, str) else None
    except ValueError:
        return False  # A worker says so by its own rules.
    if expires is None:
        return False
    aware = expires.replace(tzinfo=UTC) if timezone.is_naive(expires) else expires
    return aware <= datetime.now(UTC)


def _destination(app: Celery, route: dict[str, Any]) -> tuple[str, str, Any]:
    """Exchange, routing key and queue, by the rules of Celery's `send_task_message`."""
    exchange, routing_key = route.get("exchange"), route.get("routing_key")
    name = route.get("queue") or (app.amqp.default_queue.name if exchange is None else None)
    queue = app.amqp.queues[name] if name else None
    of_queue = getattr(queue, "exchange", None)
    kind = getattr(of_queue, "type", None) or "direct"
    if queue is not None and kind == "direct" and not (exchange and routing_key):
        return "", queue.name, queue
    exchange = exchange or getattr(of_queue, "name", "") or ""
    routing_key = routing_key or getattr(queue, "routing_key", None) or app.conf.task_default_routing_key
    return exchange, str(routing_key), queue
