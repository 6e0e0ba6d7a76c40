"""Fault F37: whatever consumers do in whatever order, the tables are as a plain model says."""

import os
from dataclasses import dataclass

import pytest
from django.db import connections
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)

from celeriac.broker import payload
from celeriac.broker.queries import queries_for, restoring, workers
from celeriac.models import DeadLetter, Message, Worker
from celeriac.models.messages import MessageState
from tests.broker import Stranger, bodies, publish

#: In all; for the long run more are asked for.
STEPS = int(os.environ.get("CELERIAC_MACHINE_STEPS", "400"))
STEPS_OF_ONE = 50
QUEUES = ("mails", "calls")
VERBS = ("ack", "release", "requeue", "bury")
NOW = 1_000_000
#: That live at once: few, so that each has more than one claim.
CONSUMERS = 2


@dataclass(slots=True)
class Known:
    """What the model knows of a message that is in the table."""

    queue: str
    turn: int
    order: int
    deliveries: int = 0
    #: (worker, token) of its claim; None: it is ready.
    held: tuple[int, int] | None = None


class Machine(RuleBasedStateMachine):
    """Consumers of other processes publish, claim, settle, die and are found dead."""

    alias: str
    consumers = Bundle("consumers")
    #: Those that the others hold for lost, and that do not know it.
    ghosts = Bundle("ghosts")
    #: (consumer, [(body, id)], token): also of those that are long over.
    claims = Bundle("claims")

    def __init__(self) -> None:
        super().__init__()
        self.known: dict[str, Known] = {}
        self.dead: set[str] = set()
        self.lost: set[int] = set()
        self.opened: list[Stranger] = []
        #: Every claim of a message: (consumer, body, id, token).
        self.made: list[tuple[Stranger, str, int, int]] = []
        self.published = 0
        self.token = 0

    @precondition(lambda self: len(self.opened) - len(self.lost) < CONSUMERS)
    @rule(target=consumers)
    def begin(self):
        self.opened.append(Stranger(self.alias, f"consumer {len(self.opened)}"))
        return self.opened[-1]

    @rule(queue=st.sampled_from(QUEUES), priority=st.integers(0, 9), count=st.integers(1, 4))
    def publish(self, queue, priority, count):
        names = [str(self.published + number) for number in range(count)]
        publish(self.alias, queue, *names, priority=priority)
        for name in names:
            self.known[name] = Known(queue, 9 - priority, int(name))
        self.published += count

    @rule(target=claims, consumer=consumers, queue=st.sampled_from(QUEUES), limit=st.integers(1, 4))
    def claim(self, consumer, queue, limit):
        self.token += 1
        found = consumer.session.run(
            lambda connection, queries: queries.claim(connection, [queue], limit, consumer.worker, self.token)
        )
        names = bodies(found)
        assert names == self.soonest(queue, limit)
        for name in names:
            known = self.known[name]
            known.deliveries, known.held = known.deliveries + 1, (consumer.worker, self.token)
        messages = [(name, each.id) for name, each in zip(names, found, strict=True)]
        self.made += [(consumer, name, message, self.token) for name, message in messages]
        return (consumer, messages, self.token) if messages else multiple()

    @precondition(lambda self: self.made)
    @rule(verb=st.sampled_from(VERBS))
    def settle_what_is_over(self, verb):
        """Whoever was thought dead comes back with all that it ever had: it finds nothing."""
        for consumer, name, message, token in self.made:
            known = self.known.get(name)
            if known is None or known.held != (consumer.worker, token):
                settle(consumer, verb, [(message, token)])

    @rule(ghost=ghosts, queue=st.sampled_from(QUEUES))
    def claim_as_a_ghost(self, ghost, queue):
        assert ghost.claim(queue) == []

    @rule(claim=claims, verb=st.sampled_from(VERBS), left=st.booleans())
    def settle(self, claim, verb, left):
        consumer, messages, token = claim
        some = messages[:1] if left else messages
        settle(consumer, verb, [(message, token) for _, message in some])
        for name, _ in some:
            if name in self.known and self.known[name].held == (consumer.worker, token):
                self.settled(name, verb)

    @rule(claim=claims)
    def doubt(self, claim):
        consumer, _, token = claim
        consumer.session.run(lambda connection, _: restoring.undo_claim(connection, consumer.worker, token))
        for name in self.held_by(consumer.worker):
            if self.known[name].held == (consumer.worker, token):
                self.settled(name, "release")

    @rule(target=ghosts, consumer=consumes(consumers), begun=st.integers(0, 3))
    def lose(self, consumer, begun):
        def work(connection, _):
            return workers.lose(connection, consumer.worker) and restoring.restore(
                connection, consumer.worker, begun
            )

        consumer.session.run(work)
        self.lost.add(consumer.worker)
        for place, name in enumerate(self.held_by(consumer.worker)):
            self.settled(name, "requeue" if place < begun or not begun else "release")
        return consumer

    @rule(target=ghosts, consumer=consumes(consumers))
    def vanish(self, consumer):
        """Its row is gone, and what it held is nobody's until somebody looks for orphans."""
        consumer.session.run(lambda connection, _: workers.forget(connection, consumer.worker))
        self.lost.add(consumer.worker)
        return consumer

    @precondition(lambda self: self.opened)
    @rule()
    def sweep(self):
        self.opened[0].session.run(lambda connection, _: restoring.restore_orphans(connection))
        for name, known in self.known.items():
            if known.held is not None and known.held[0] in self.lost:
                self.settled(name, "requeue")

    @invariant()
    def the_tables_are_as_the_model_says(self):
        stored = {}
        for row in Message.objects.using(self.alias).all():
            held = (row.claimed_by, row.claim_token) if row.state == MessageState.CLAIMED else None
            assert (held is None) == (row.claimed_by is None)
            stored[payload.decode(row.payload)["body"]] = (row.queue, row.turn, row.deliveries, held)
        assert stored == {
            name: (known.queue, known.turn, known.deliveries, known.held)
            for name, known in self.known.items()
        }
        letters = DeadLetter.objects.using(self.alias).values_list("payload", flat=True)
        assert sorted(payload.decode(text)["body"] for text in letters) == sorted(self.dead)

    def soonest(self, queue, limit):
        ready = [
            (each.turn, each.order, name) for name, each in self.known.items() if self.is_ready(each, queue)
        ]
        return [name for _, _, name in sorted(ready)[:limit]]

    def is_ready(self, known, queue):
        return known.queue == queue and known.held is None

    def held_by(self, worker):
        """In the order of their claims."""
        held = [
            (known.held[1], known.turn, known.order, name)
            for name, known in self.known.items()
            if known.held is not None and known.held[0] == worker
        ]
        return [name for *_, name in sorted(held)]

    def settled(self, name, verb):
        if verb in {"ack", "bury"}:
            del self.known[name]
            self.dead |= {name} if verb == "bury" else set()
            return
        self.known[name].held = None
        self.known[name].deliveries -= verb == "release"

    def teardown(self):
        for consumer in self.opened:
            consumer.close()
        for model in (Message, DeadLetter, Worker):
            model.objects.using(self.alias).all().delete()


def settle(consumer, verb, pairs):
    more = ("on purpose", NOW) if verb == "bury" else ()
    consumer.session.run(lambda connection, queries: getattr(queries, verb)(connection, pairs, *more))


def test_any_order_of_claims_and_deaths_leaves_what_the_model_says(broker):
    machine = type("MachineOnThisDatabase", (Machine,), {"alias": broker})
    assert queries_for(connections[broker]).check_version(connections[broker]) is None

    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=max(1, STEPS // STEPS_OF_ONE),
            stateful_step_count=STEPS_OF_ONE,
            deadline=None,
            database=None,
            # To find a shorter way to the same failure would take minutes.
            phases=(Phase.generate,),
            print_blob=True,
        ),
    )


@pytest.fixture(autouse=True)
def _no_traces(monkeypatch, tmp_path):
    """Hypothesis keeps its notes where the tests are run from."""
    monkeypatch.chdir(tmp_path)
