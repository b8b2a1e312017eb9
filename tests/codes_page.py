"""Writes docs/how-to/troubleshoot-by-code.md from what the status page says: python -m tests.codes_page."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from compose.status_page import next_steps

PAGE = Path(__file__).parents[1] / "docs" / "how-to" / "troubleshoot-by-code.md"
HEAD = """\
# Troubleshoot by code

Look here for the code that `scleroscan status`, the status page or the log shows. Each code has one meaning for good;
the page named below each heading says it in full.
`scleroscan doctor` finds what is wrong with the site itself, [by check](when-a-job-stops.md#what-the-doctor-says).
"""
TABLES: tuple[tuple[str, str, Mapping[str, str]], ...] = (
    ("A job was refused: `rejected`", "[refusal codes](../reference/refusal-codes.md)", next_steps.REFUSED),
    ("A job waits in `review`", "[what the results hold](../reference/results.md)", next_steps.REVIEW),
    ("A job `failed`", "[when a job has stopped](when-a-job-stops.md)", next_steps.FAILED),
    ("A series is `incomplete` or `skipped`", "[codes of series](../reference/series-codes.md)", next_steps.SERIES),
    (
        "An object is not delivered",
        "[what becomes of trouble](destinations.md#what-becomes-of-trouble)",
        next_steps.DELIVERY,
    ),
)
TAIL = """\
## Anything else

| you see | what to do |
|---|---|
| an [image set aside](../reference/refusal-codes.md#images-set-aside) | Look at it, then move or delete it. |
| a part that ends with status 78 | Its settings cannot be used: it says which in one line. |
| `/health/ready` says 503 | It names the parts; [what each has to do](../reference/metrics.md#when-a-part-is-ready). |
"""


def lines() -> Iterator[str]:
    """Yield the page, line by line."""
    yield HEAD
    for heading, page, steps in TABLES:
        yield f"## {heading}\n\nIn full: {page}.\n\n| code | what to do |\n|---|---|"
        yield from (f"| `{code}` | {step} |" for code, step in sorted(steps.items()))
        yield ""
    yield TAIL.rstrip("\n")


if __name__ == "__main__":
    PAGE.write_text("\n".join(lines()) + "\n", encoding="utf-8")
