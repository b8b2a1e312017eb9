"""People are told of trouble by a real mail server and a real webhook; nothing of a patient is in any message."""

import os
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from db import tracking
from db.engine import open_database
from db.tracking import Change, DueDelivery
from tests.support import databases, monitored, services, site_rows, told
from tests.support.arrivals import arrivals
from tests.support.command import run
from tests.support.told import MailServer, Webhook

CANARY = {"patient_id": "CANARY-ID", "patient_name": "CANARY^NAME", "accession_number": "CANARY-ACC"}
SERIES = "1.2.826.0.1.4711"


@pytest.fixture
def mail(tmp_path: Path) -> Iterator[MailServer]:
    with told.mail_server(tmp_path, services.free_port()) as server:
        yield server


@pytest.fixture
def hook() -> Iterator[Webhook]:
    with told.webhook() as one:
        yield one


@pytest.fixture
def environ(tmp_path: Path, mail: MailServer, hook: Webhook) -> dict[str, str]:
    """A site that tells people both ways, and whose rows are there."""
    password, token = tmp_path / "password", tmp_path / "token"
    password.write_text(f"{told.PASSWORD}\n")
    token.write_text("a-token-of-this-test\n")
    return {
        "DB_URL": databases.sqlite(tmp_path / "rows" / "rows.db"),
        "DICOM_NODE_SPOOL_DIR": str(tmp_path / "spool"),
        "DICOM_NODE_PORT": str(services.free_port()),
        "WORKER_BROKER_URL": f"redis://127.0.0.1:{services.free_port()}/0",
        "WORKER_RESULTS_DIR": str(tmp_path / "results"),
        "MONITOR_PORT": str(services.free_port()),
        "MONITOR_WEBHOOK": hook.url,
        "MONITOR_WEBHOOK_TOKEN_FILE": str(token),
        "MONITOR_MAIL_SERVER": f"smtp+starttls://{told.USER}@127.0.0.1:{mail.port}",
        "MONITOR_MAIL_PASSWORD_FILE": str(password),
        "MONITOR_MAIL_FROM": "scleroscan@hospital.example",
        "MONITOR_MAIL_TO": "it@hospital.example, night@hospital.example",
        "MONITOR_NOTIFY_CA": str(mail.ca),
        "MONITOR_NOTIFY_AFTER_S": "0",
        "MONITOR_LOW_DISK_GB": "0",
    }


def dead_letter(url: str) -> int:
    """Have a site whose archive refused an object for good; return the job."""
    sessions, now = open_database(url), datetime.now(UTC)
    with sessions.begin() as session:
        tracking.register(session, arrivals(SERIES, **CANARY), now)
        tracking.close_series(session, SERIES, "complete", "contiguous", {}, now)
        job_id = site_rows.measured(session, SERIES, now)
        for one in tracking.pending(session, DueDelivery(job_id, site_rows.PACS), 60, now):
            tracking.refuse(session, one.delivery_id, "0xA900", 0xA900, Change("worker", now, "store_refused"))
    sessions.kw["bind"].dispose()
    return job_id


def mend(url: str, job_id: int) -> None:
    sessions, now = open_database(url), datetime.now(UTC)
    with sessions.begin() as session:
        tracking.discard(session, job_id, "operator:anna", now)
    sessions.kw["bind"].dispose()


def test_a_trial_reaches_mail_server_and_webhook(environ: dict[str, str], mail: MailServer, hook: Webhook) -> None:
    said = run("monitor", "--try-notification", **environ)
    assert (said.returncode, said.stdout, said.stderr) == (0, "webhook: told\nmail: told\n", "")
    (one,) = mail.took
    assert one["to"] == "it@hospital.example, night@hospital.example"
    assert "trial: messages of this site arrive" in one["subject"].replace("\n", "")
    assert (hook.took[0]["state"], hook.logins) == ("trial", ["Bearer a-token-of-this-test"])


def test_a_way_that_does_not_work_is_named_without_secrets(
    environ: dict[str, str], hook: Webhook, tmp_path: Path
) -> None:
    hook.status = 503
    (tmp_path / "password").write_text("wrong")
    said = run("monitor", "--try-notification", **environ)
    assert (said.returncode, said.stdout) == (1, "")
    assert said.stderr == (
        "webhook: answered 503; mail: the mail server did not take it (SMTPAuthenticationError: 535)\n"
    )
    no_trust = environ | {"MONITOR_NOTIFY_CA": "/etc/ssl/certs/ca-certificates.crt"}
    assert "SSLCertVerificationError" in run("monitor", "--try-notification", **no_trust).stderr
    away = environ | {"MONITOR_WEBHOOK": f"http://127.0.0.1:{services.free_port()}/SECRET"}
    said = run("monitor", "--try-notification", **away)
    assert "webhook: no answer (ConnectError)" in said.stderr
    assert "SECRET" not in said.stderr


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("MONITOR_WEBHOOK", "ftp://chat.example", "it is no http:// or https:// URL"),
        ("MONITOR_MAIL_SERVER", "mail.example", "it is no smtp+starttls:// or smtp:// address"),
        ("MONITOR_MAIL_SERVER", "smtp+starttls://u:secret@mail.example", "belongs into the file"),
        ("MONITOR_MAIL_SERVER", "smtp://u@mail.example", "a password is not sent in the clear"),
        ("MONITOR_MAIL_TO", "", "set both"),
        ("MONITOR_MAIL_PASSWORD_FILE", "/none", "MONITOR_MAIL_PASSWORD_FILE=/none cannot be read"),
    ],
)
def test_settings_that_could_tell_nobody_stop_the_start(
    environ: dict[str, str], name: str, value: str, words: str
) -> None:
    said = run("monitor", **(environ | {name: value}))
    assert said.returncode != 0
    assert words in said.stderr
    assert "secret" not in said.stderr


def test_nobody_is_told_where_no_setting_names_a_way(tmp_path: Path) -> None:
    said = run("monitor", "--try-notification", DICOM_NODE_SPOOL_DIR=str(tmp_path))
    assert (said.returncode, said.stderr) == (
        os.EX_CONFIG,
        "nobody is told: set MONITOR_WEBHOOK or MONITOR_MAIL_SERVER\n",
    )


def test_people_are_told_of_dead_letters_and_stopped_parts(
    environ: dict[str, str], mail: MailServer, hook: Webhook, tmp_path: Path
) -> None:
    job_id = dead_letter(environ["DB_URL"])
    log = tmp_path / "monitor.log"
    command = [sys.executable, "-m", "scleroscan", "monitor"]

    def names(state: str) -> list[str]:
        return [one["trouble"] for one in hook.took if one["state"] == state]

    with services.running(command, log, env=os.environ | environ):
        services.wait_until(lambda: "dead letters" in names("begun"), 90, "a message")
        mend(environ["DB_URL"], job_id)
        services.wait_until(lambda: "dead letters" in names("over"), 60, "the message that it is over")
        assert monitored.get(int(environ["MONITOR_PORT"]), "/health/live")[0] == 200
    assert {"listener", "scheduler", "analyse", "deliver"} <= set(names("begun"))
    assert len(names("begun")) == len(set(names("begun")))
    assert len(mail.took) == len(hook.took)
    # The port on which a listener would be is told, and nothing of the series.
    everything = "".join([*map(str, hook.took), *(one.as_string() for one in mail.took), log.read_text()])
    for secret in ("CANARY", SERIES, told.PASSWORD, "SECRET", "a-token-of-this-test"):
        assert secret not in everything
    assert "1 object(s) rest unsent" in everything
