"""The format of a result's row: the stock backend's, so that its admin and older rows stay readable."""

import logging
from typing import Any

from celery import states
from celery.backends.base import get_current_task
from celery.utils.serialization import b64decode, b64encode
from django_celery_results.models import TaskResult

from celeriac.conf import options
from celeriac.results import fitting, upsert
from celeriac.results.upsert import StateRow, Write
from celeriac.sensitive import rules_of

logger = logging.getLogger(__name__)

#: What is serialized: type, encoding, text.
Content = tuple[str, str, str]

#: By serializer, key and type of the value.
_contents: dict[tuple[str, str, type], Content] = {}
_MOST_CONTENTS = 100

#: What Celery tells with STARTED.
_BEGINNING = {"pid", "hostname"}
LONGEST_STATE: int = TaskResult._meta.get_field("status").max_length


class RowFormat:
    """The part of the backend that knows the columns; serializer and app are those of Celery's base class."""

    def encode_content(self: Any, data: Any) -> Content:
        """Serialize for a text column: what is binary becomes base64; raises EncodeError."""
        content_type, content_encoding, content = self._encode(data)
        return content_type, content_encoding, b64encode(content) if content_encoding == "binary" else content

    def decode_content(self: Any, obj: Any, content: str | None) -> Any:
        """The value that `encode_content` wrote into the row `obj`."""
        if not content:
            return None
        return self.decode(b64decode(content) if obj.content_encoding == "binary" else content)

    def write_of(
        self: Any,
        task_id: str,
        result: Any,
        status: str,
        traceback: str | None,
        request: Any,
    ) -> Write:
        """The state of a task that runs or ended; raises EncodeError, or ValueError for its name."""
        if len(status or "") > LONGEST_STATE:
            raise ValueError(f"A state has at most {LONGEST_STATE} characters, not {len(status)}.")
        is_beginning = status == states.STARTED and isinstance(result, dict) and result.keys() == _BEGINNING
        encode = self._encoded_beginning if is_beginning else self.encode_content
        content_type, content_encoding, encoded = encode(result)
        if len(encoded) > fitting.SHORT:
            name = getattr(request, "task", None) or str(task_id)
            encoded = self._fitting(encoded, result, status, name)
        told = {} if request is None else self._of_context(request)
        return Write(
            task_id=str(task_id),
            status=status,
            content_type=content_type,
            content_encoding=content_encoding,
            result=encoded,
            traceback=None if traceback is None else fitting.shortened(str(traceback)),
            meta=self._encoded_meta(task_id, request),
            **told,
        )

    def end_of(self: Any, began: StateRow, result: Any, request: Any) -> StateRow:
        """The SUCCESS of a task whose beginning tells all else; raises EncodeError."""
        content = self.encode_content(result)
        if len(content[2]) > fitting.SHORT:
            fitting.check(content[2], getattr(request, "task", None) or str(began[upsert.TASK_ID]))
        meta = self._encoded_meta(began[upsert.TASK_ID], request)
        return upsert.end_of(began, states.SUCCESS, content, meta)

    def _fitting(self: Any, encoded: str, result: Any, status: str, name: str) -> str:
        """A long result, if it is not too long; of an exception as much as is of use."""
        if status not in states.EXCEPTION_STATES or not fitting.is_error(result):
            fitting.check(encoded, name)
        elif len(encoded) > fitting.MOST_OF_ERROR:
            encoded = self.encode_content(fitting.shortened_error(result))[2]
        return encoded

    def pending_of(self: Any, published: Any) -> Write:
        """The state PENDING of a task that was published."""
        known = self._extended(published.name, published.args_repr, published.kwargs_repr)
        return self._mark(states.PENDING, published.task_id, known)

    def received_of(self: Any, request: Any) -> Write:
        """The state RECEIVED of a message that a worker has taken."""
        known = self._extended(request.name, request.argsrepr, request.kwargsrepr)
        worker = {"worker": request.hostname} if known else {}
        return self._mark(states.RECEIVED, request.id, {**known, **worker})

    def meta_of(self: Any, row: TaskResult) -> dict[str, Any]:
        """The row as `AsyncResult` wants it, with the stock backend's keys and Celery's own."""
        fields: dict[str, Any] = row.as_dict()
        meta = self.decode_content(row, fields.pop("meta")) or {}
        args, kwargs = self._decoded_or_raw(row, row.task_args), self._decoded_or_raw(row, row.task_kwargs)
        if row.status not in states.READY_STATES:
            # The column is never empty: it is the time of the last write.
            fields["date_done"] = None
        result = self.decode_content(row, row.result)
        named = {
            "name": row.task_name,
            "task_args": args,
            "task_kwargs": kwargs,
            "args": args,
            "kwargs": kwargs,
        }
        return self.meta_from_decoded({**fields, **meta, "result": result, **named})

    def _decoded_or_raw(self: Any, row: TaskResult, content: str | None) -> Any:
        try:
            return self.decode_content(row, content)
        except Exception:  # noqa: BLE001 - another serializer wrote it, each with errors of its own
            return content

    def _mark(self: Any, status: str, task_id: str, known: dict[str, Any]) -> Write:
        content_type, content_encoding, _ = self._encoded_again("nothing", None)
        return Write(
            task_id=task_id,
            status=status,
            content_type=content_type,
            content_encoding=content_encoding,
            **known,
        )

    def _of_context(self: Any, request: Any) -> dict[str, str | None]:
        """What a running task's request tells.

        Messages of protocol 1, and what follows in a chain that failed, have arguments and no reprs of them.
        """
        name = getattr(request, "task", None)
        args, kwargs = getattr(request, "argsrepr", None), getattr(request, "kwargsrepr", None)
        if (args is None or kwargs is None) and self.app.conf.result_extended:
            given = getattr(request, "args", None), getattr(request, "kwargs", None)
            shown_args, shown_kwargs = rules_of(self.app).of(name or "").shown_of(*given)
            args, kwargs = _first(args, shown_args), _first(kwargs, shown_kwargs)
        known: dict[str, str | None] = self._extended(name, args, kwargs)
        if known:
            known["worker"] = getattr(request, "hostname", None)
            known["periodic_task_name"] = getattr(request, "periodic_task_name", None)
        return known

    def _extended(self: Any, name: str | None, args: Any, kwargs: Any) -> dict[str, str | None]:
        """Name and arguments, if `result_extended` lets them be stored."""
        if not self.app.conf.result_extended:
            return {}
        return {
            "task_name": name,
            "task_args": self._encoded_argument(args),
            "task_kwargs": self._encoded_argument(kwargs),
        }

    def _encoded_meta(self: Any, task_id: str, request: Any) -> str:
        """What else is known of the task. Its work does not fail for the tasks that it has called."""
        source = request or getattr(get_current_task(), "request", None)
        extra = getattr(source, "meta", None) or {}
        children = self.current_task_children(request)
        nothing: Content = self._encoded_again("meta", {"children": []})
        if not extra and not children:
            return nothing[2]
        meta: str = self.encode_content({**extra, "children": children})[2]
        if len(meta) > options().max_result_bytes:
            logger.warning("Task %s called more tasks than its row can name: they are left out.", task_id)
            return nothing[2]
        return meta

    def _encoded_argument(self: Any, value: Any) -> str | None:
        if isinstance(value, str):
            return self._encoded_again(value, value)[2]
        return None if value is None else self.encode_content(value)[2]

    def _encoded_beginning(self: Any, result: dict[str, Any]) -> Content:
        """Of what Celery tells when a task begins: the same for all tasks of a process."""
        return self._encoded_again(f"{result['pid']!r} {result['hostname']!r}", result)

    def _encoded_again(self: Any, key: str, value: Any) -> Content:
        """What `encode_content` makes of a value that is stored with each state of a task or of every task.

        Of the eight values that a short task has serialized seven are such ones.
        """
        known: Content | None = _contents.get((self.serializer, key, type(value)))
        if known is None:
            known = self.encode_content(value)
            if len(_contents) >= _MOST_CONTENTS:
                _contents.clear()
            _contents[self.serializer, key, type(value)] = known
        return known


def _first(*values: Any) -> Any:
    return next((value for value in values if value is not None), None)
