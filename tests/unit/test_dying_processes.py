"""A process of the pool whose files are closed and which has not ended yet is looked at until it has."""

from types import SimpleNamespace
from typing import Any

import pytest
from kombu.asynchronous import Hub

from celeriac.worker import pool


class OnlyLooking(pool.Pool):
    """Has one process, which is found dead by the look of that number."""

    def __init__(self, process: Any, *, dead_at: int) -> None:
        self._pool = [process]
        self.looks, self.dead_at = 0, dead_at

    def maintain_pool(self) -> None:
        self.looks += 1
        if self.looks == self.dead_at:
            self._pool.clear()


def looks_until_nothing_is_due(*, dead_at: int) -> int:
    hub, process = Hub(), SimpleNamespace(_sentinel_poll=None)
    looking = OnlyLooking(process, dead_at=dead_at)
    looking._event_process_exit(hub, process)
    while hub.timer.queue:
        hub.fire_timers()
    return looking.looks


def test_it_is_looked_at_again_until_it_has_ended() -> None:
    assert looks_until_nothing_is_due(dead_at=1) == 1
    assert looks_until_nothing_is_due(dead_at=4) == 4


def test_one_that_lives_on_without_its_files_is_left_to_celerys_own_looks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pool, "_LONGEST_DYING_SECONDS", pool._DYING_SECONDS * 8)
    assert looks_until_nothing_is_due(dead_at=-1) == 4
