"""The bells that a consumer listens to: those of the queues that it has room for, and no other."""

from collections.abc import Callable, Iterable
from typing import Any

from celeriac.broker import runtime
from celeriac.broker.wakeup import doorbell
from celeriac.broker.wakeup.doorbell import Doorbell


class Ears:
    """Belongs to one event loop; `heard` is called with the queue whose ring was for us."""

    def __init__(self, alias: str, loop: Any, heard: Callable[[str], None]) -> None:
        self._alias = alias
        self._loop = loop
        self._heard = heard
        self._bells: dict[str, Doorbell] = {}
        #: The queues whose bells are wanted; another thread may ask.
        self.wanted: frozenset[str] = frozenset()
        #: Whether every bell that was wanted could be had; otherwise somebody must look more often.
        self.are_good = runtime.directory(alias) is not None
        #: After a claim that found nothing the rings that are left are old ones.
        self.take_all = False
        #: Queues that were rung when we left their bell.
        self.unheard: set[str] = set()

    def attend(self, queues: Iterable[str], passing: Iterable[str] = ()) -> None:
        """Listen to these bells alone; the pipes of `passing` queues go when we no longer do."""
        self.wanted = frozenset(queues)
        vanishing = set(passing)
        for queue in self._bells.keys() - self.wanted:
            self._leave(queue, remove=queue in vanishing)
        for queue in self.wanted - self._bells.keys():
            self._open(queue)
        if self.wanted:
            self.are_good = self._bells.keys() == self.wanted

    def attended(self) -> set[str]:
        return set(self._bells)

    def renew(self) -> None:
        """Leave the bells that have lost their name; who attends again gets new ones."""
        for queue in [queue for queue, bell in self._bells.items() if bell.is_gone()]:
            self._leave(queue)

    def close(self, passing: Iterable[str] = ()) -> None:
        """Listen to nothing; may be called twice."""
        self.attend((), passing)

    def _open(self, queue: str) -> None:
        bell = doorbell.listen_at(self._alias, queue)
        if bell is not None:
            self._bells[queue] = bell
            self._loop.add_reader(bell.fd, self._on_ring, queue)

    def _leave(self, queue: str, *, remove: bool = False) -> None:
        bell = self._bells.pop(queue)
        if bell.answer(all_rings=True):
            self.unheard.add(queue)
        unwatch(self._loop, bell.fd)
        if remove:
            bell.remove()
        else:
            bell.close()

    def _on_ring(self, queue: str) -> None:
        bell = self._bells.get(queue)
        if bell is not None and bell.answer(all_rings=self.take_all):
            self._heard(queue)


def unwatch(loop: Any, fd: int) -> None:
    """Take a reader out of the loop, which may have forgotten it after an error."""
    try:
        loop.remove_reader(fd)
    except (KeyError, ValueError, OSError, AttributeError):
        pass
