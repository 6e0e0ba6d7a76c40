"""A virtual host of RabbitMQ; one that the environment's URL names is used as it is."""

import shutil
import subprocess
from urllib.parse import urlsplit

from benchmarks.places.base import Place, Unreachable, server

QUEUE = "celery"
LIMIT_SECONDS = 60


class RabbitMQ(Place):
    """Emptied by deleting the one queue; those of remote control go with their worker."""

    def make(self) -> None:
        base = server("rabbitmq").url
        parts = urlsplit(base)
        self._is_made = not parts.path.strip("/")
        self._url = f"{base.rstrip('/')}/{self.name}" if self._is_made else base
        if self._is_made:
            _rabbitmqctl("add_vhost", self.name)
            _rabbitmqctl("set_permissions", "-p", self.name, parts.username or "guest", ".*", ".*", ".*")

    @property
    def url(self) -> str:
        return self._url

    def empty(self) -> None:
        from kombu import Connection

        with Connection(self._url) as connection:
            connection.default_channel.queue_delete(QUEUE)

    def drop(self) -> None:
        if self._is_made:
            _rabbitmqctl("delete_vhost", self.name)


def _rabbitmqctl(*words: str) -> None:
    command = shutil.which("rabbitmqctl")
    if command is None:
        raise Unreachable(
            "RabbitMQ: rabbitmqctl is not on PATH; set CELERIAC_TEST_RABBITMQ to a URL with a host."
        )
    ended = subprocess.run(
        [command, "--quiet", *words], capture_output=True, text=True, timeout=LIMIT_SECONDS, check=False
    )
    if ended.returncode:
        said = (ended.stderr or ended.stdout).strip().partition("\n")[0]
        raise Unreachable(f"RabbitMQ: no virtual host can be made ({said}).")
