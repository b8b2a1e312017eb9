"""What `docker build` would make of compose/Dockerfile, in empty folders: the steps of its first stage as they stand
there, then the command that they installed. `make image`."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
DOCKERFILE = REPOSITORY / "compose" / "Dockerfile"
LIST = "from importlib.metadata import distributions; print(*(one.name for one in distributions()))"
FOLDERS = ("/opt/scleroscan", "/wheels", "/build")


def first_stage() -> list[str]:
    """Return the instructions of the stage that installs, one a line."""
    lines = re.sub(r"\\\n\s*", "", DOCKERFILE.read_text(encoding="utf-8")).splitlines()
    begins = [number for number, line in enumerate(lines) if line.startswith("FROM ")]
    return [line for line in lines[begins[0] + 1 : begins[1]] if line and not line.startswith("#")]


def taken() -> list[str]:
    """Return what .dockerignore leaves of the top folder."""
    return [line[1:] for line in _ignored() if line.startswith("!")]


def left_out() -> list[str]:
    """Return the folders that it leaves out of these."""
    return [line for line in _ignored() if "/" in line and not line.startswith(("!", "*"))]


def _ignored() -> list[str]:
    return (REPOSITORY / ".dockerignore").read_text(encoding="utf-8").splitlines()


def build(folder: Path, torch_index: str | None) -> None:
    """Run the instructions below the folder."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("VIRTUAL_ENV", "PYTHON"))}
    for instruction in first_stage():
        word, _, rest = instruction.partition(" ")
        if word == "ARG":
            name, _, default = rest.partition("=")
            environ[name] = torch_index or default
        elif word == "WORKDIR":
            Path(_mapped(folder, rest)).mkdir(parents=True)
        elif word == "COPY":
            _copy(folder / "build")
        elif word == "RUN":
            print(f"RUN {rest}", flush=True)
            subprocess.run(["sh", "-ec", _mapped(folder, rest)], check=True, cwd=folder / "build", env=environ)
        else:
            raise ValueError(instruction)


def try_out(folder: Path) -> None:
    """Run the installed command as the image would, with nothing of the repository in reach."""
    home = folder / "site"
    home.mkdir()
    command = folder / "opt/scleroscan/bin/scleroscan"
    environ = {"PATH": f"{command.parent}:/usr/bin:/bin", "HOME": str(home), "MPLCONFIGDIR": str(home / "matplotlib")}

    def scleroscan(*words: str) -> str:
        print("scleroscan", *words, flush=True)
        ran = subprocess.run([command, *words], check=False, cwd=home, env=environ, stdout=subprocess.PIPE, text=True)
        # The doctor finds a site none of whose parts run: status 1.
        assert ran.returncode == (1 if words[0] == "doctor" else 0), ran.stdout
        return ran.stdout

    print(scleroscan("--version"), scleroscan("db", "upgrade"))
    bad = [check["name"] for check in json.loads(scleroscan("doctor", "--json")) if not check["ok"]]
    assert bad == ["parts"], bad
    print(scleroscan("demo"))
    listed = subprocess.run(
        [
            command.parent / "python",
            "-c",
            "import importlib.metadata as m; print(*(d.name for d in m.distributions()))",
        ],
        check=True,
        cwd=home,
        capture_output=True,
        text=True,
    ).stdout.split()
    assert [name for name in listed if "nvidia" in name or "cuda" in name] == []


def _copy(there: Path) -> None:
    for name in taken():
        source = REPOSITORY / name
        if source.is_dir():
            shutil.copytree(source, there / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, there / name)
    for name in left_out():
        shutil.rmtree(there / name, ignore_errors=True)


def _mapped(folder: Path, text: str) -> str:
    for there in FOLDERS:
        text = re.sub(rf"(?<!\w){there}(?=\b)", f"{folder}{there}", text)
    # The image's Python is the one that runs this.
    return re.sub(r"^(pip|python) ", lambda found: f"{sys.executable} -m {found[1]} ".replace("-m python ", ""), text)


def main(torch_index: str | None) -> None:
    """Build, try out, and say how large it is."""
    with tempfile.TemporaryDirectory(prefix="scleroscan-image-") as name:
        folder = Path(name)
        build(folder, torch_index)
        try_out(folder)
        files = [file for file in (folder / "opt").rglob("*") if file.is_file() and not file.is_symlink()]
        print(f"/opt/scleroscan: {sum(file.stat().st_size for file in files) / 1e6:.0f} MB in {len(files)} files")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else None)
