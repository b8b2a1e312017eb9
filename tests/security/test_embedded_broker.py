"""The embedded broker: a server that is kept up, which nobody else can reach."""

import stat
from pathlib import Path

import psutil
import redis

from compose import broker
from worker.settings import EMBEDDED

# Of October 2025; what came before it is not taken for kept.
OLDEST_KEPT = (9, 0)


def test_the_embedded_broker_is_kept_and_behind_a_private_socket() -> None:
    with broker.running(EMBEDDED) as url:
        socket = Path(url.removeprefix("redis+socket://"))
        with redis.Redis(unix_socket_path=str(socket)) as client:
            told = client.info("server")
        assert told["server_name"] == "valkey"
        assert tuple(map(int, str(told["valkey_version"]).split(".")[:2])) >= OLDEST_KEPT
        assert stat.S_IMODE(socket.stat().st_mode) == 0o700
        assert stat.S_IMODE(socket.parent.stat().st_mode) == 0o700
        listening = psutil.Process(told["process_id"]).net_connections("inet")
        assert [one for one in listening if one.status == psutil.CONN_LISTEN] == []
    assert not psutil.pid_exists(told["process_id"])
