"""The project's web process: does what the benchmark asks, a line of JSON for each, and answers with one.

`kit`, the module that speaks for the contestant, lies beside it: `enqueue(number)`, `enqueue_many(numbers)`,
`stored()`, and `claim(…)` where there is one.
"""

import json
import random
import sys
import time
from collections.abc import Callable
from typing import Any

import django

#: Between two looks at the stored results.
LOOK_SECONDS = 0.005


def main() -> None:
    """Answer until the input ends."""
    django.setup()
    import kit

    answers = sys.stdout
    sys.stdout = sys.stderr  # What a library prints is no answer.
    for line in sys.stdin:
        request = json.loads(line)
        answer = VERBS[request.pop("verb")](kit, **request)
        print(json.dumps(answer), file=answers, flush=True)


def single(kit: Any, first: int, count: int) -> float:
    """Seconds for so many tasks, each enqueued by itself."""
    begin = time.monotonic()
    for number in range(first, first + count):
        kit.enqueue(number)
    return time.monotonic() - begin


def bulk(kit: Any, first: int, count: int) -> float:
    """Seconds for so many tasks, enqueued by the fastest call that the contestant has."""
    begin = time.monotonic()
    kit.enqueue_many(range(first, first + count))
    return time.monotonic() - begin


def paced(kit: Any, first: int, count: int, gap_seconds: float) -> dict[int, float]:
    """Enqueue at a pace, never in step with anybody's polling; when each task was enqueued."""
    moments = {}
    due = time.monotonic()
    for number in range(first, first + count):
        time.sleep(max(0.0, due - time.monotonic()))
        kit.enqueue(number)
        moments[number] = time.monotonic()
        due = max(due, moments[number] - gap_seconds) + gap_seconds * random.uniform(0.7, 1.3)  # noqa: S311
    return moments


def stored(kit: Any, count: int, limit_seconds: float) -> float | None:
    """The moment when so many results could be read; None when they could not within the limit."""
    end = time.monotonic() + limit_seconds
    while time.monotonic() < end:
        if kit.stored() >= count:
            return time.monotonic()
        time.sleep(LOOK_SECONDS)
    return None


def claim(kit: Any, waiting: int, claims: int) -> list[float]:
    """Seconds for each of so many claims beside so many waiting messages."""
    seconds: list[float] = kit.claim(waiting, claims)
    return seconds


VERBS: dict[str, Callable[..., Any]] = {
    "single": single,
    "bulk": bulk,
    "paced": paced,
    "stored": stored,
    "claim": claim,
}

if __name__ == "__main__":
    main()
