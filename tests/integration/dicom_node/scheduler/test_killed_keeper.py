"""A scheduler killed by -9 at any step between copying and removing loses nothing, and the next one ends the work."""

import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from db.engine import open_database
from tests.support import databases, kept_site, object_stores
from tests.support.kept_site import LONG_AFTER, KeptSite

# What the kernel is asked for: each is a moment at which a process may have been killed.
STEPS = frozenset({"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "shutil.copyfile", "sqlite3.connect"})


class Steps:
    """Counts the steps of this process below a folder, and kills it at one of them."""

    def __init__(self, folder: Path, at: int) -> None:
        self._folder, self._left = str(folder), at

    def __call__(self, name: str, words: tuple[object, ...]) -> None:
        if name in STEPS and words and self._folder in str(words[0]):
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)


def made(folder: Path) -> KeptSite:
    sessions = open_database(f"sqlite:///{folder / 'rows.db'}")
    place = object_stores.Place(f"file://{folder / 'store'}", {})
    return kept_site.made(folder, sessions, place)


def copy(site: KeptSite) -> None:
    site.keeper().round(LONG_AFTER)


def remove(site: KeptSite) -> None:
    site.clean()


def is_killed_at(folder: Path, step: int, act: Callable[[KeptSite], None]) -> bool:
    """Act in a process of its own; return whether it made so many steps, and so was killed."""
    child = os.fork()
    if child == 0:
        site = made(folder)
        sys.addaudithook(Steps(folder, step))
        act(site)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


def killed_at_every_step(whole: Path, act: Callable[[KeptSite], None]) -> list[tuple[int, int]]:
    """Begin from the same folder each time, until one run comes to its end; return how many files lay here and away."""
    start, found = whole.with_name(f"before {act.__name__}"), []
    before = made(whole).here()
    shutil.copytree(whole, start)
    was_killed = True
    while was_killed:
        step = len(found) + 1
        # Rows name their files by their whole path: each run is in the same folder.
        shutil.rmtree(whole)
        shutil.copytree(start, whole)
        was_killed = is_killed_at(whole, step, act)
        site = made(whole)
        here, away = site.here(), site.away()
        assert before.items() <= {**here, **away}.items(), step
        assert {**here, **{key: value for key, value in away.items() if not key.endswith(".part")}} == before, step
        found.append((len(here), len(away)))
        copy(site)
        remove(site)
        assert (site.here(), {key for key in site.away() if not key.endswith(".part")}) == ({}, set(before)), step
        assert site.codes(1).count("images_removed") == 1, step
        site.sessions.kw["bind"].dispose()
    shutil.rmtree(whole)
    shutil.copytree(start, whole)
    return found[:-1]


def test_a_keeper_killed_at_every_step_loses_nothing(tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    databases.sqlite(whole / "rows.db")
    (whole / "store").mkdir()
    site = made(whole)
    site.receive(1, range(2))
    site.measure(1)
    site.sessions.kw["bind"].dispose()
    copying = killed_at_every_step(whole, copy)
    site = made(whole)
    copy(site)
    site.sessions.kw["bind"].dispose()
    removing = killed_at_every_step(whole, remove)
    assert len(copying) + len(removing) > 40
    # Before any copy and between copies: several are copied at once, so how many there are at a step is chance.
    assert (5, 0) in copying
    assert any(here == 5 and 0 < away < 5 for here, away in copying)
    assert {(5, 5), (4, 5), (2, 5)} <= set(removing)
    print(f"{len(copying)} + {len(removing)} steps, {len({*copying, *removing})} different ends, nothing lost")
