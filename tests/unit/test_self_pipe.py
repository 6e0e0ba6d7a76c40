"""A worker's loop is woken by a pipe, once for several words, and nothing is written where it has closed."""

import os
import select
import threading

import pytest

from celeriac.broker.wakeup.self_pipe import SelfPipe


class Loop:
    """What kombu's loop is for a pipe."""

    def __init__(self):
        self.readers = {}

    def add_reader(self, fd, callback, *args):
        self.readers[fd] = callback, args

    def remove_reader(self, fd):
        del self.readers[fd]

    def turn(self):
        """Call what is readable now; how many that were."""
        ready = select.select(list(self.readers), [], [], 0)[0]
        for fd in ready:
            callback, args = self.readers[fd]
            callback(*args)
        return len(ready)


@pytest.fixture
def loop():
    return Loop()


@pytest.fixture
def woken():
    return []


@pytest.fixture
def pipe(loop, woken):
    made = SelfPipe(loop, lambda: woken.append(1))
    yield made
    made.close()


def test_several_words_wake_once(loop, pipe, woken):
    pipe.wake()
    pipe.wake()

    assert loop.turn() == 1
    assert loop.turn() == 0
    assert woken == [1]


def test_what_wakes_while_it_is_heard_wakes_anew(loop, woken):
    pipe = SelfPipe(loop, lambda: (woken.append(1), len(woken) == 1 and pipe.wake()))
    pipe.wake()

    assert [loop.turn(), loop.turn(), loop.turn()] == [1, 1, 0]
    assert len(woken) == 2
    pipe.close()


def test_a_full_pipe_holds_nobody_up(loop, pipe, woken):
    for _ in range(100_000):
        pipe.wake()

    while loop.turn():
        pass
    assert woken


def test_nothing_is_written_once_it_is_closed(loop, pipe):
    pipe.close()
    # The lowest free numbers, which were the pipe's.
    reader, writer = os.pipe()
    try:
        assert pipe.reader in (reader, writer)
        pipe.wake()
        assert select.select([reader], [], [], 0)[0] == []
    finally:
        os.close(reader)
        os.close(writer)
    assert loop.readers == {}


def test_closing_twice_closes_nobody_elses_files(pipe):
    pipe.close()
    reader, writer = os.pipe()
    pipe.close()
    os.close(reader)
    os.close(writer)


def test_it_may_close_in_a_loop_that_has_forgotten_it(loop, pipe):
    assert pipe.is_watched
    loop.readers.clear()
    assert not pipe.is_watched
    pipe.close()


def test_threads_that_wake_while_it_closes_write_nowhere_else(loop):
    errors, stop = [], threading.Event()
    pipes = [SelfPipe(loop, object)]

    def wake():
        while not stop.is_set():
            try:
                pipes[0].wake()
            except OSError as error:
                errors.append(error)

    threads = [threading.Thread(target=wake) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(300):
        closed = pipes[0]
        closed.close()
        # A file with the number of the pipe's end: nobody may write to it.
        reader, writer = os.pipe()
        is_written = bool(select.select([reader], [], [], 0)[0])
        os.close(reader)
        os.close(writer)
        assert not is_written
        pipes[0] = SelfPipe(loop, object)
    stop.set()
    for thread in threads:
        thread.join()
    pipes[0].close()

    assert errors == []
