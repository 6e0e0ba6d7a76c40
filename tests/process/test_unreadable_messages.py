"""Fault F20: fuzzed messages that no worker can run, on every broker: all are kept, the worker lives."""

import secrets
from pathlib import Path

from tests.process.project import Project, Worker, wait_until

MESSAGES = 200
#: What the worker's main process may grow by meanwhile.
MOST_MEGABYTES = 50

FUZZ = '''
import base64, json, random, zlib, bz2
from kombu import Exchange
from celeriac.app import get_app
from celeriac.broker.refusal import MessageRefused

BOMB = zlib.compress(b"0" * (64 * 1024 * 1024), 9)
CUT = zlib.compress(b"{}")[:-4]
BODY = json.dumps([[1, 1], {}, {}])
JSON, TEXT = "application/json", "utf-8"

def nested(levels):
    return "[" * levels + "]" * levels

def garbage(chance):
    return bytes(chance.randrange(256) for _ in range(chance.randrange(1, 60)))

def anything(chance, levels=2):
    kinds = [None, True, -1, 1.5, "", "x" * 300, "a\\x00b", "\\ud800", [], {}, [[]], {"a": 1}, 2**70]
    if levels and chance.random() < 0.3:
        return [anything(chance, levels - 1) for _ in range(2)]
    return chance.choice(kinds)

def hopeless(chance, number):
    """Body, type, encoding and headers of a message that no worker can run."""
    task = {"task": "tasks.add", "id": f"hopeless-{number}", "lang": "py"}
    body, kind, encoding = BODY, JSON, TEXT
    case = chance.randrange(9)
    if case == 0:
        body, encoding = b"\\xff" + garbage(chance), chance.choice([TEXT, "nonsense", "binary"])
    elif case == 1:
        kind = chance.choice(["application/x-python-serialize", "application/x-yaml", "text/x-own", ""])
        body = garbage(chance) if kind != "application/x-yaml" else "!!python/object/apply:os.getpid []"
    elif case == 2:
        task = chance.choice([{}, {"id": f"no-task-{number}"}, {**task, "task": anything(chance) or []}])
        body = chance.choice(["1", "[]", "null", '"text"', '{"no": "task"}', BODY])
    elif case == 3:
        task["id"] = chance.choice([None, 5, [], {"a": 1}, "a\\x00b", "i" * 256, "\\ud800", ""]) or {}
    elif case == 4:
        body = chance.choice([nested(101), nested(5000), nested(100_000), '[[%s], {}, {}]' % nested(99)])
    elif case == 5:
        body = json.dumps([["x" * (1024 * 1024)], {}, {}])
    elif case == 6:
        packed = [("application/x-gzip", BOMB), ("application/x-own", b"?"),
                  ("application/x-bz2", garbage(chance)),
                  ("application/x-gzip", zlib.compress(nested(500).encode()))]
        task["compression"], body = chance.choice(packed)
    elif case == 7:
        body = chance.choice(["1", "[1]", "null", "true", '"abc"', "[1, 2, 3]",
                              '[[], [], {}]', '[{}, {}, {}]', '[[], {}, 7]', "[[], {}]",
                              '[[], {}, {}, {}]', "0", "[]"])
    else:
        task[chance.choice(["eta", "expires"])] = chance.choice(["never", "x" * 50, {"a": 1}, "\\x00"])
    return body, kind, encoding, task

def mutated(chance, number):
    """Of a good one with some headers that are not: some run, and some do not."""
    task = {"task": "tasks.add", "id": f"mutated-{number}", "lang": "py", "argsrepr": "", "kwargsrepr": ""}
    for _ in range(chance.randrange(1, 4)):
        names = ["retries", "timelimit", "group", "group_index", "root_id", "parent_id", "argsrepr",
                 "origin", "ignore_result", "stamps", "stamped_headers", "shadow", "utc", "chord",
                 "replaced_task_nesting"]
        task[chance.choice(names)] = anything(chance)
    return BODY, JSON, TEXT, task

def publish(seed, messages):
    chance, app = random.Random(seed), get_app()
    sent, refused, is_database = {hopeless: 0, mutated: 0}, 0, app.conf.broker_url.startswith("django")
    with app.connection_for_write() as connection, connection.Producer(auto_declare=False) as producer:
        app.amqp.queues["celery"](connection.default_channel).declare()
        for number in range(messages):
            make = hopeless if number % 4 else mutated
            body, kind, encoding, headers = make(chance, number)
            try:
                producer.publish(body, routing_key="celery", exchange=Exchange(""), headers=headers,
                                 content_type=kind, content_encoding=encoding, correlation_id=None)
                sent[make] += 1
            except MessageRefused:
                refused += 1
            except Exception:
                # AMQP's own tables hold no such header.
                refused += 1
                if is_database:
                    raise
    return [sent[hopeless], sent[mutated], refused]
'''

LETTERS = """
    from celeriac.models import DeadLetter
    from django_celery_results.models import TaskResult
    ids = list(DeadLetter.objects.filter(task_id__startswith="hopeless-").values_list("task_id", flat=True))
    ended = set(TaskResult.objects.filter(status="FAILURE").values_list("task_id", flat=True))
    result = {
        "letters": DeadLetter.objects.count(),
        "of_mutated": DeadLetter.objects.filter(task_id__startswith="mutated-").count(),
        "reasons": list(DeadLetter.objects.values_list("reason", flat=True)),
        "without_result": [each for each in ids if each not in ended],
    }
"""


def test_fuzzed_messages_are_kept_and_the_worker_goes_on(project: Project) -> None:
    seed = secrets.randbits(32)
    project.write("fuzz.py", FUZZ)
    with project.worker("-c", "2") as worker:
        project.python("from tasks import add; result = add.delay(1, 1).get(timeout=30)")
        before = _megabytes(worker)

        hopeless, mutated, refused = project.python(f"import fuzz; result = fuzz.publish({seed}, {MESSAGES})")

        found = _wait_for(project, worker, hopeless, seed)
        answer = project.python("from tasks import add; result = add.delay(1, 1).get(timeout=30)")
        grown = _megabytes(worker) - before
        told = f"seed {seed}\n{worker.output[-3000:]}"

    assert answer == 2, told
    assert hopeless + mutated + refused == MESSAGES, told
    assert hopeless > MESSAGES / 3, told
    assert found["letters"] - found["of_mutated"] == hopeless, (told, found["reasons"])
    assert found["without_result"] == [], told
    assert all(len(reason.splitlines()) == 1 for reason in found["reasons"]), told
    assert grown < MOST_MEGABYTES, told


def _wait_for(project: Project, worker: Worker, hopeless: int, seed: int) -> dict:
    try:
        return wait_until(lambda: _found(project, hopeless), "each is a dead letter")
    except AssertionError as error:
        told = f"seed {seed}: {project.python(LETTERS)}, not {hopeless}\n{worker.output[-5000:]}"
        raise AssertionError(told) from error


def _found(project: Project, hopeless: int) -> dict:
    found = project.python(LETTERS)
    has_all = found["letters"] - found["of_mutated"] >= hopeless
    return found if has_all and not found["without_result"] else {}


def _megabytes(worker: Worker) -> int:
    """The main process's resident memory."""
    [line] = [
        line
        for line in Path(f"/proc/{worker.process.pid}/status").read_text().splitlines()
        if line.startswith("VmRSS")
    ]
    return int(line.split()[1]) // 1024
