"""Two thousand callers who say nothing: a real sender beside them is served, and they are hung up on."""

import resource
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from dicom_node.settings import NodeSettings
from tests.integration.dicom_node.stow.test_stow import TOKEN, part10, post
from tests.support import servers, services
from tests.support.node_senders import ct_slice, storescu_succeeds, write

SILENT = 2199
# A silent caller is hung up on after so long.
PATIENCE_S = 3


@pytest.fixture
def descriptors() -> Iterator[None]:
    """As many as the system permits, here and in what is started."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < SILENT + 200:
        pytest.skip(f"no more than {hard} descriptors are permitted: raise `ulimit -Hn`")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def sent_by_web(port: int, _: Path) -> bool:
    return post(f"127.0.0.1:{port}/dicom-web", [part10(ct_slice(0))]).status_code == 200


def sent_by_c_store(port: int, folder: Path) -> bool:
    """Send by DCMTK, in a process of its own: pynetdicom cannot be used beside so many descriptors."""
    write(folder, [ct_slice(0)])
    storescu_succeeds(port, folder)
    return True


@pytest.mark.usefixtures("descriptors")
@pytest.mark.parametrize(
    ("door", "setting", "sent"),
    [(servers.listener, "port", sent_by_c_store), (servers.web, "web_port", sent_by_web)],
    ids=["listening", "on_the_web"],
)
def test_2199_silent_connections_keep_no_sender_out(
    door: Callable[[Path, NodeSettings], servers.Server],
    setting: str,
    sent: Callable[[int, Path], bool],
    tmp_path: Path,
) -> None:
    port = services.free_port()
    own = {setting: port, "web_token": TOKEN, "request_timeout_s": PATIENCE_S}
    node = door(tmp_path, servers.node_settings(tmp_path, **own))
    node.start()
    with ExitStack() as held:
        held.callback(node.kill)
        silent = [held.enter_context(silence(port)) for _ in range(SILENT)]
        assert sent(port, tmp_path / "images")
        assert all(is_over(one) for one in silent)


def silence(port: int) -> socket.socket:
    """Connect from an address of strangers and say nothing."""
    return socket.create_connection(("127.0.0.1", port), 60, ("127.0.0.2", 0))


def is_over(connection: socket.socket) -> bool:
    """Whether the node hangs up by itself."""
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True
