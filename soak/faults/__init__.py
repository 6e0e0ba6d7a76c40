"""The rows: a file for each kind of fault. A new one is a file here and an entry in ALL."""

from soak.faults.base import Fault
from soak.faults.child_killed import ChildKilled
from soak.faults.failing_calls import FailingCalls
from soak.faults.group_killed import GroupKilled
from soak.faults.kill_points import AtChord, AtFlush, AtPublish, AtReap, AtWork
from soak.faults.none import NoFault
from soak.faults.orders import Orders
from soak.faults.poison import Poison
from soak.faults.rolling import RollingRestart
from soak.faults.rolling_deploy import RollingDeploy
from soak.faults.schedule import KilledSchedulers
from soak.faults.server_crashed import ServerCrashed
from soak.faults.soft_shutdown import SoftShutdown
from soak.faults.stopped import Stopped
from soak.faults.transactions import Transactions
from soak.faults.worker_killed import WorkerKilled
from soak.faults.workflows import KilledChains, KilledChords
from soak.faults.young_children import YoungChildren

ALL: tuple[type[Fault], ...] = (
    NoFault,
    WorkerKilled,
    ChildKilled,
    GroupKilled,
    Stopped,
    RollingRestart,
    SoftShutdown,
    AtPublish,
    AtWork,
    AtReap,
    AtChord,
    ServerCrashed,
    Poison,
    RollingDeploy,
    AtFlush,
    FailingCalls,
    KilledChords,
    KilledChains,
    Transactions,
    Orders,
    KilledSchedulers,
    YoungChildren,
)


def fault(row: str) -> Fault:
    """By its row."""
    return next(each for each in ALL if each.row == row)()


__all__ = ("ALL", "Fault", "fault")
