"""A node name belongs to one living worker; whoever wants it finds out first whether its bearer lives.

A free lock alone proves no death: a restart of the server or a pooler frees the locks of the living. A held
one proves no life: a host that crashed leaves its connection half open on the server for hours.
"""

import logging
from collections.abc import Callable

from celeriac.broker.queries import workers
from celeriac.broker.reaper import Reaper
from celeriac.broker.session import BrokerSession
from celeriac.conf import options
from celeriac.errors import NodeNameTaken, NodeNameTooLong
from celeriac.models import NAME_LENGTH

logger = logging.getLogger(__name__)

_LOOK_SECONDS = 0.5
#: The queue of remote control has the name with this behind it, and its name is limited too.
_LONGEST = NAME_LENGTH - len(".celery.pidbox")


def claim(session: BrokerSession, reaper: Reaper, node: str, pause: Callable[[float], object]) -> None:
    """Return when no living worker has the name; may take LOST_AFTER_SECONDS.

    Raises NodeNameTaken, and NodeNameTooLong.
    """
    if len(node) > _LONGEST:
        raise NodeNameTooLong(
            f"The node name {node[:30]}… has {len(node)} characters, and {_LONGEST} are possible. "
            "Give a shorter one with -n."
        )
    first: dict[int, int] = {}
    is_announced = False
    # Asked again after each loss: another that waited for the same name may have been quicker.
    while namesakes := _namesakes(session, node):
        reaper.look(namesakes)
        for peer in namesakes:
            has_beaten = peer.heartbeat != first.setdefault(peer.id, peer.heartbeat)
            if has_beaten or reaper.lives_here(peer):
                raise NodeNameTaken(
                    f"A worker named {node} is running already (pid {peer.pid} on {peer.host}). "
                    f"Give this one another name: -n {node.partition('@')[0]}2@%h"
                )
        doubtful = [peer for peer in namesakes if not _lose_if_dead(reaper, peer)]
        if not is_announced and any(map(reaper.is_overdue, doubtful)):
            is_announced = True
            logger.warning(
                "A worker named %s (pid %s on %s) did not say farewell. This one waits up to %g s for a "
                "heartbeat of it: it may live, or its host may have crashed.",
                node,
                doubtful[0].pid,
                doubtful[0].host,
                options().lost_after_seconds,
            )
        if doubtful:
            pause(_LOOK_SECONDS)


def _namesakes(session: BrokerSession, node: str) -> list[workers.Peer]:
    return session.run(lambda connection, _: workers.namesakes(connection, node), atomic=False)


def _lose_if_dead(reaper: Reaper, peer: workers.Peer) -> bool:
    if not (reaper.is_dead(peer) or reaper.is_former_life(peer)):
        return False
    reaper.lose(peer)
    return True
