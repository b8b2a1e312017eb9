"""A scheduler killed by -9 at any step between copying and removing loses nothing, and the next one ends the work."""

import os
import shutil
import signal
import sys
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


def is_killed_at(folder: Path, step: int) -> bool:
    """Copy and remove in a process of its own; return whether it made so many steps, and so was killed."""
    child = os.fork()
    if child == 0:
        site = made(folder)
        sys.addaudithook(Steps(folder, step))
        site.keeper().round(LONG_AFTER)
        site.clean()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


def test_a_keeper_killed_at_every_step_loses_nothing(tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    databases.sqlite(whole / "rows.db")
    (whole / "store").mkdir()
    site = made(whole)
    site.receive(1, range(2))
    site.measure(1)
    before = site.here()
    site.sessions.kw["bind"].dispose()
    kept = tmp_path / "kept"
    shutil.copytree(whole, kept)
    ended_in = set()
    # Several files are copied at once, so how many steps it makes is chance: on, until one run comes to its end.
    step, was_killed = 0, True
    while was_killed:
        step += 1
        # Rows name their files by their whole path: each run is in the same folder.
        shutil.rmtree(whole)
        shutil.copytree(kept, whole)
        was_killed = is_killed_at(whole, step)
        site = made(whole)
        here, away = site.here(), site.away()
        assert before.items() <= {**here, **away}.items(), step
        assert {**here, **{key: value for key, value in away.items() if not key.endswith(".part")}} == before, step
        ended_in.add((was_killed, len(here), len(away)))
        site.keeper().round(LONG_AFTER)
        site.clean()
        assert (site.here(), {key for key in site.away() if not key.endswith(".part")}) == ({}, set(before)), step
        assert site.codes(1).count("images_removed") == 1, step
        site.sessions.kw["bind"].dispose()
    assert step > 40
    # Killed before any copy, between copies, and with files removed in part.
    killed = {(here, away) for was_killed, here, away in ended_in if was_killed}
    assert (5, 0) in killed
    assert any(here == 5 and 0 < away < 5 for here, away in killed)
    assert any(0 < here < 5 == away for here, away in killed)
    print(f"{step} steps, {len(ended_in)} different ends, nothing lost")
