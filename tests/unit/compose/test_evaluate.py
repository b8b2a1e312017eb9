"""What `scleroscan evaluate` asks for, by its options."""

from pathlib import Path

import pytest

from compose import command_line
from worker.training.evaluation import judge


class Asked(Exception):
    """Raised in place of judging, which takes minutes."""


@pytest.mark.parametrize(
    ("words", "patients"),
    [([], 3), (["--dataset", "own.yaml"], 0), (["--dataset", "own.yaml", "--sweep"], 3), (["--no-sweep"], 0)],
)
def test_own_data_are_judged_without_phantoms_unless_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], patients: int
) -> None:
    seen: list[judge.Request] = []

    def noted(asked: judge.Request, *_: object) -> None:
        seen.append(asked)
        raise Asked

    monkeypatch.setattr(judge, "run", noted)
    monkeypatch.chdir(tmp_path)
    Path("own.yaml").touch()
    with pytest.raises(Asked):
        command_line.app(["evaluate", *words], standalone_mode=False)
    assert seen[0].sweep == patients
