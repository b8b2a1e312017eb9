"""One line of a data set for many patients: ``{patient}`` and ``{reader}`` in paths stand for what the disk holds."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PATIENT, READER = "patient", "reader"
IMAGE_KEYS, MASK_KEYS = ("image", "series", "images"), ("mask", "segmentation", "masks")
PLACEHOLDER = re.compile(r"\{(patient|reader)\}")
Scan = dict[str, Any]


def expanded(scan: Scan, folder: Path) -> Iterator[Scan]:
    """Yield a scan of a data set's file as it is, or one for every patient and reader that its paths find.

    The path of the image finds the patients, that of the mask, or of the first of several, the readers. Paths are
    relative to ``folder``.

    Raises
    ------
    ValueError
        A path with a placeholder finds nothing.
    """
    image = next((str(scan[key]) for key in IMAGE_KEYS if key in scan), "")
    if PATIENT in scan or "{patient}" not in image:
        yield scan
        return
    for patient in _required(image, folder):
        one = _filled(scan, patient) | patient
        mask = _first_mask(one)
        if "{reader}" not in mask:
            yield one
            continue
        for reader in _required(mask, folder):
            yield _filled(one, reader) | reader


def _first_mask(scan: Scan) -> str:
    mask = next((scan[key] for key in MASK_KEYS if key in scan), "")
    return str(next(iter(mask.values()), "") if isinstance(mask, dict) else mask)


def _required(template: str, folder: Path) -> list[dict[str, str]]:
    found = [dict(named) for named in sorted({tuple(sorted(one.items())) for one in _found(template, folder)})]
    if not found:
        raise ValueError(f"no file or folder fits {template}")
    return found


def _found(template: str, folder: Path) -> Iterator[dict[str, str]]:
    """Yield what the placeholders of a path stand for, for each file or folder that fits it."""
    literal, named = PLACEHOLDER.split(template)[::2], PLACEHOLDER.findall(template)
    wanted = re.compile("".join(re.escape(part) + _group(named, n) for n, part in enumerate(literal)))
    for path in folder.glob(PLACEHOLDER.sub("*", template)):
        if match := wanted.fullmatch(path.relative_to(folder).as_posix()):
            yield match.groupdict()


def _group(named: list[str], place: int) -> str:
    """Return the expression for a placeholder: named where it stands first, the same again where it is repeated."""
    if place >= len(named):
        return ""
    name = named[place]
    return f"(?P={name})" if name in named[:place] else f"(?P<{name}>[^/]+)"


def _filled(value: Any, named: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _filled(one, named) for key, one in value.items()}
    if isinstance(value, str):
        return PLACEHOLDER.sub(lambda found: named.get(found[1], found[0]), value)
    return value
