"""Publishes, and writes into the ledger what it is about to publish and what was published.

What stands under `acknowledged` was published for certain; what stands under `attempted` alone may have been.
"""

import json
import os
import random
import sys
import time
from typing import Any

import book
import django


def main(order: dict[str, Any]) -> None:
    """Publish so many units, each of so many numbers."""
    django.setup()
    import kit

    rng = random.Random(order["seed"])  # noqa: S311
    publish, size = getattr(kit, order["kind"]), order["size"]
    for unit in range(order["units"]):
        first = order["first"] + unit * size
        numbers = list(range(first, first + size))
        seconds = [round(rng.uniform(0, order["longest"]), 4) for _ in numbers]
        book.write("attempted", [str(number) for number in numbers], is_durable=True)
        try:
            ids = publish(numbers, seconds, rng, **order["options"])
        except Exception as error:  # noqa: BLE001 - whatever it is, the caller was told of it
            reason = f"{type(error).__name__}: {error}".replace("\n", " ")
            book.write("refused", [f"{number} {reason}" for number in numbers])
        else:
            published = numbers if ids else []  # No ids: it was rolled back, as ordered.
            lines = [f"{number} {task_id}" for number, task_id in zip(published, ids, strict=True)]
            book.write("acknowledged", lines, is_durable=True)
        time.sleep(order["gap"])


if __name__ == "__main__":
    main(json.loads(os.environ["SOAK_ORDER"]))
    sys.exit(0)
