"""The project's web process: calls what it is asked for of `kit`; a line of JSON asks, one answers."""

import json
import sys

import django


def main() -> None:
    """Answer until the input ends."""
    django.setup()
    import kit

    answers = sys.stdout
    sys.stdout = sys.stderr  # What a library prints is no answer.
    for line in sys.stdin:
        request = json.loads(line)
        answer = getattr(kit, request.pop("verb"))(**request)
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
