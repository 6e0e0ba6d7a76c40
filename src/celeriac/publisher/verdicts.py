"""Whether a task may be sent again: not one that still waits or runs, unless the caller says so."""

from collections.abc import Collection
from dataclasses import dataclass, field

from celery import Celery, states

from celeriac.broker import accepting
from celeriac.errors import CannotBeSentAgain
from celeriac.results import reviving
from celeriac.results.backend import DatabaseBackend


@dataclass(frozen=True, slots=True)
class How:
    """What the caller allows."""

    #: Also what waits, runs or has succeeded: it may run twice.
    force: bool = False
    #: As tasks of their own, with new ids.
    as_new: bool = False


@dataclass(frozen=True, slots=True)
class Judge:
    """How tasks ended, as far as that is known."""

    how: How
    states: dict[str, str] = field(default_factory=dict)
    #: Ended without a state.
    quiet: set[str] = field(default_factory=set)
    revoked: set[str] = field(default_factory=set)

    @classmethod
    def of(
        cls, app: Celery, alias: str, task_ids: Collection[str], known: dict[str, str], how: How
    ) -> "Judge":
        """What is known of these tasks; `known`: the states in our own table."""
        if not isinstance(app.backend, DatabaseBackend):
            found = {each: app.backend.get_state(each) for each in task_ids}
            known = {task_id: state for task_id, state in found.items() if state != states.PENDING}
        quiet = reviving.ended_without_state(alias, [each for each in task_ids if each not in known])
        return cls(how, known, quiet, reviving.revoked(alias, task_ids))

    def allow(self, task_id: str, *, is_dead: bool = False) -> None:
        """Raise CannotBeSentAgain for a task that would run twice, or not at all.

        `is_dead`: its message is a dead letter, by which it has ended where it has no state.
        """
        state = self.states.get(task_id)
        if task_id in self.revoked and not self.how.as_new:
            raise CannotBeSentAgain(
                "it is revoked, and no worker runs it under its id. As a task of its own: as_new=True"
            )
        if self.how.force or state in reviving.UNSUCCESSFUL:
            return
        if state == states.SUCCESS:
            if not self.how.as_new:
                raise CannotBeSentAgain(
                    "it succeeded, and its result stays. As a task of its own: as_new=True"
                )
        elif state is not None:
            raise CannotBeSentAgain(f"it still waits or runs ({state}). To send it nevertheless: force=True")
        elif task_id not in self.quiet and not is_dead:
            raise CannotBeSentAgain(
                "nothing says that it has ended, as for a task that ignores its result. To send it "
                "nevertheless: force=True"
            )

    def is_over(self, task_id: str) -> bool:
        """Whether its rows go back to the beginning: a task that runs, and a SUCCESS, stay as they are."""
        return self.states.get(task_id) in (None, *reviving.UNSUCCESSFUL)


def refuse_unaccepted(app: Celery, content_type: str) -> None:
    """Raise CannotBeSentAgain for a content that no worker of the app would read."""
    if not accepting.is_accepted(content_type, app.conf.accept_content):
        raise CannotBeSentAgain(f"its content type {content_type!r} is not in CELERY_ACCEPT_CONTENT")
