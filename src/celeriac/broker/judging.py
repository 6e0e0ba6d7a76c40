"""Which claimed messages are delivered, and which are given up, with the reason."""

import logging
from collections import Counter
from collections.abc import Callable, Sequence

from celeriac.broker import clock
from celeriac.broker.queries.base import Claimed
from celeriac.broker.settlements import Settlement, Settlements, Verb
from celeriac.conf import options
from celeriac.dead_letters import EXPIRED, NEVER_FINISHED, dead_lettered, shown_by

logger = logging.getLogger(__name__)


def fit(
    settlements: Settlements, claimed: Sequence[Claimed], database_now: Callable[[], int | None]
) -> list[Claimed]:
    """Those to deliver; the others are given up. One line for many: a backlog may have expired.

    `database_now` is asked where something seems to be expired; None: nobody knows, and nothing is.
    """
    delivered, reasons, now = [], Counter[str](), clock.now()
    if any(message.expires_at is not None and message.expires_at <= now for message in claimed):
        now = min(now, database_now() or 0)
    for message in claimed:
        reason = _unfit(message, now)
        if reason is None:
            delivered.append(message)
        else:
            reasons[reason] += 1
            _give_up(settlements, message, reason)
    for reason, count in reasons.items():
        logger.error("%d messages are dead letters: %s. See: %s", count, reason, shown_by(None))
    return delivered


def give_up(settlements: Settlements, message: Claimed, reason: str) -> None:
    """Move a message that no worker will be given to the dead letters, and let its result know."""
    name = message.task_id or message.id
    logger.error("Message %s is a dead letter: %s. See: %s", name, reason, shown_by(message.task_id))
    _give_up(settlements, message, reason)


def _give_up(settlements: Settlements, message: Claimed, reason: str) -> None:
    tag, pair = f"{message.id}-{message.token}", (message.id, message.token)
    settlements.add(tag, Settlement(Verb.BURY, pair, reason))
    if message.task_id:
        dead_lettered.send_robust(
            Settlements,
            task_id=message.task_id,
            task_name=message.task_name,
            reason=reason,
            payload=message.payload,
        )


def _unfit(message: Claimed, now: int) -> str | None:
    if message.expires_at is not None and message.expires_at <= now:
        return EXPIRED
    if message.deliveries > options().max_deliveries:
        return f"{NEVER_FINISHED}{message.deliveries - 1} times and never finished"
    return None
