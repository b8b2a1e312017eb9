"""One run of ``make fuzz``: so many shots of one kind, sound series beside and behind each hundred, and the figures."""

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tests.fuzz import shots
from tests.fuzz.frames import Frames
from tests.fuzz.node import Node
from tests.fuzz.shots import Shots

MOST_MEMORY_MB = 1000
# What a shot may write, and what the node writes without any.
LOG_KB_PER_SHOT, LOG_KB = 0.5, 50
BEHIND_EACH = 100
FRAMES = "frames"
SHOTS: dict[str, shots.Shot] = {"headers": shots.a_header, "PDUs": shots.a_pdu, "multipart": shots.a_body}
KINDS = (*SHOTS, FRAMES)


class Attack(Protocol):
    """Shots of one kind and the sound series that belong to them; what is counted meanwhile."""

    stopped: int
    server_errors: int
    memory_mb: float
    slowest_s: float
    outcomes: Counter[str]

    def fire(self, numbers: Sequence[int]) -> None:
        """Fire the shots of these numbers."""

    def send_sound(self, number: int) -> None:
        """Send a sound series."""

    def lost_of(self, number: int) -> int:
        """Return how many images of a sound series did not arrive as they were sent."""


@dataclass(frozen=True)
class Figures:
    """What became of the node, and of the reader, under one kind of bytes; ``outcomes`` tells what came of frames."""

    kind: str
    shots: int
    sound: int
    stopped: int
    lost: int
    server_errors: int
    memory_mb: float
    log_kb: float
    control_characters: int
    slowest_read_s: float
    outcomes: Counter[str]

    @property
    def is_clean(self) -> bool:
        """Whether nothing stopped, nothing was lost, and memory and log stayed within bounds."""
        failures = self.stopped + self.lost + self.server_errors + self.control_characters
        log_is_short = self.log_kb < LOG_KB + LOG_KB_PER_SHOT * (self.shots + self.sound)
        return not failures and self.memory_mb < MOST_MEMORY_MB and log_is_short


def run(folder: Path, kind: str, count: int, seed: int = 1) -> Figures:
    """Fire so many shots of one kind; a sound series is sent beside each hundred, and another behind it."""
    with ExitStack() as stack:
        node = Node(folder, stack)
        attack = Frames(node, folder, stack, seed) if kind == FRAMES else Shots(node, SHOTS[kind], seed)
        lost = sum(_hundred(node, attack, first, min(first + BEHIND_EACH, count)) for first in _hundreds(count))
        stopped = node.stopped() + attack.stopped
    log = node.log.read_text(errors="replace")
    return Figures(
        kind=kind,
        shots=count,
        sound=2 * len(_hundreds(count)),
        stopped=stopped,
        lost=lost,
        server_errors=attack.server_errors,
        memory_mb=max(node.memory_mb, attack.memory_mb),
        log_kb=len(log) / 1e3,
        control_characters=sum(not sign.isprintable() and sign != "\n" for sign in log),
        slowest_read_s=attack.slowest_s,
        outcomes=attack.outcomes,
    )


def _hundreds(count: int) -> range:
    return range(0, count, BEHIND_EACH)


def _hundred(node: Node, attack: Attack, first: int, last: int) -> int:
    """Fire some shots with a sender beside them, send a series behind them, and return how many images are lost."""
    beside = 2 * (first // BEHIND_EACH)
    with ThreadPoolExecutor(1) as sender:
        sending = sender.submit(attack.send_sound, beside)
        attack.fire(range(first, last))
        sending.result()
    attack.send_sound(beside + 1)
    node.look()
    return attack.lost_of(beside) + attack.lost_of(beside + 1)
