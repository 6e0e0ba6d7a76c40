"""What a run says while it lasts."""

import time

_begin = time.monotonic()


def say(line: str) -> None:
    """A line, with the minutes and seconds since the start."""
    passed = int(time.monotonic() - _begin)
    print(f"{passed // 60:3}:{passed % 60:02}  {line}", flush=True)
