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
    """Counts the steps of this process below a folder, and kills it at one of them; 0: at none."""

    def __init__(self, folder: Path, at: int) -> None:
        self._folder, self._at = str(folder), at
        self.count = 0

    def __call__(self, name: str, words: tuple[object, ...]) -> None:
        if name in STEPS and words and self._folder in str(words[0]):
            self.count += 1
            if self.count == self._at:
                os.kill(os.getpid(), signal.SIGKILL)


def made(folder: Path) -> KeptSite:
    sessions = open_database(f"sqlite:///{folder / 'rows.db'}")
    place = object_stores.Place(f"file://{folder / 'store'}", {})
    return kept_site.made(folder, sessions, place)


def killed_at(folder: Path, step: int) -> tuple[bool, int]:
    """Copy and remove in a process of its own; return whether it was killed, and how many steps it made."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        site, steps = made(folder), Steps(folder, step)
        sys.addaudithook(steps)
        site.keeper().round(LONG_AFTER)
        site.clean()
        os.write(writer, str(steps.count).encode())
        os._exit(0)
    os.close(writer)
    _, status = os.waitpid(child, 0)
    with os.fdopen(reader) as pipe:
        said = pipe.read()
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status), int(said or 0)


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
    _, steps = killed_at(whole, 0)
    assert steps > 40
    ended_in = set()
    for step in range(1, steps + 1):
        # Rows name their files by their whole path: each run is in the same folder.
        shutil.rmtree(whole)
        shutil.copytree(kept, whole)
        was_killed, _ = killed_at(whole, step)
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
    # Killed before any copy, between copies, and with files removed in part: several are copied at once, so how many
    # there are at a step is chance.
    killed = {(here, away) for was_killed, here, away in ended_in if was_killed}
    assert (5, 0) in killed
    assert any(here == 5 and 0 < away < 5 for here, away in killed)
    assert any(0 < here < 5 == away for here, away in killed)
    print(f"{steps} steps, {len(ended_in)} different ends, nothing lost")
