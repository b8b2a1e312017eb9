"""The commands: they wire the parts and print; nothing else."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from sqlalchemy.exc import OperationalError

from compose import (
    auditing,
    broker,
    dataset,
    doctor,
    fetching,
    history,
    images,
    logs,
    operate,
    preflight,
    printing,
    processes,
    queries,
    recovery,
    research,
    review,
    users,
)
from compose import settings as site_settings
from compose.errors import MisspeltSetting, UnusableSetting, WiringError
from compose.json_output import AsJson, print_json
from compose.screen import ERR, OUT, say, styled, when
from db import schema
from db.engine import open_database
from db.errors import BadAddress, TrackingError
from dicom_node import listening, scheduling, site_file
from dicom_node.errors import BadSetting, NodeError, ReceiveError, StoreFault
from worker import app as celery_app
from worker import identity
from worker.errors import PipelineError, WeightsMismatch

RESEARCH = "Research software: not a medical device, not clinically validated."
PRIVATE = 0o077
# What a second start would not mend.
UNUSABLE = (MisspeltSetting, UnusableSetting, BadSetting, BadAddress, WeightsMismatch)
KNOWN_FAILURES = (WiringError, NodeError, ReceiveError, PipelineError, TrackingError, BadAddress)
app = typer.Typer(
    help=f"From a chest CT sent by C-STORE to a SEG and an SR in the PACS. {RESEARCH}\n\nBegin with: scleroscan demo",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
database = typer.Typer(help="The database of the site, named by DB_URL.", no_args_is_help=True)
reviewed = typer.Typer(help="Results that wait for a person.", no_args_is_help=True)
labelled = typer.Typer(help="Labelled data to train and judge on.", no_args_is_help=True)
app.add_typer(database, name="db")
app.add_typer(labelled, name="dataset")
app.add_typer(auditing.app, name="audit")
app.add_typer(reviewed, name="review")
app.add_typer(users.app, name="user")

Open = Annotated[
    bool, typer.Option("--open", help="Take images from anybody on the network, though the site file lists no peer.")
]
Logs = Annotated[
    logs.LogFormat,
    typer.Option("--log-format", envvar="SCLEROSCAN_LOG_FORMAT", help="Log lines for people or for machines."),
]


def main() -> None:
    """Run the command; every known failure is one line and exit status 1."""
    # Rows, images and results name patients: whatever is written here is for its owner alone.
    os.umask(PRIVATE)
    try:
        app()
    except KNOWN_FAILURES as error:
        _refuse(f"{error} ({error.code})" if isinstance(error, PipelineError | StoreFault) else str(error))
    except OperationalError as error:
        _refuse(f"the database does not answer: {error.orig}; check DB_URL, or run `scleroscan doctor`")


def _refuse(sentence: str, status: int = 1) -> NoReturn:
    """Print one line, however many the sentence has, and end."""
    ERR.print(" ".join(sentence.split()), style="red", highlight=False, soft_wrap=True)
    sys.exit(status)


@contextmanager
def _part_of_site() -> Iterator[None]:
    """Run a part; where its settings cannot be used, end with the status for which nobody starts it again."""
    try:
        yield
    except UNUSABLE as error:
        _refuse(str(error), processes.UNUSABLE_SETTINGS)


def _tell_version(asked: bool) -> None:
    if asked:
        say(f"scleroscan {identity.SOFTWARE_VERSION}")
        raise typer.Exit


@app.callback()
def scleroscan(
    _version: Annotated[
        bool, typer.Option("--version", callback=_tell_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Take what comes before the command's name."""


@app.command()
def up(open_to_all: Open = False, log_format: Logs = logs.LogFormat.console) -> None:
    """Run a whole site, listener, scheduler, workers, monitor and status page, until a signal.

    All settings come from the environment; `scleroscan doctor` lists and checks them. Without any, it listens as
    SCLEROSCAN on port 11112 to this machine alone, keeps rows in SQLite and runs its own broker.
    """
    if open_to_all:
        os.environ["DICOM_NODE_OPEN"] = "true"
    site = preflight.ready(log_format, preflight.require_free_ports)
    stop = processes.stop_on_signal()  # first: a signal that came before would end this process alone
    with broker.running(site.worker.broker_url) as url:
        environ = os.environ | {"WORKER_BROKER_URL": url, "SCLEROSCAN_LOG_FORMAT": log_format}
        beside = (bool(site.node.web_port), bool(site.monitor.port), site.has_status_page, site.has_worklist)
        managed = processes.of_site(*beside)
        processes.Supervisor(managed, main, environ).run(stop)


@app.command()
def listen(open_to_all: Open = False, log_format: Logs = logs.LogFormat.console) -> None:
    """Run the listener alone: receive images into the spool. It needs no database."""
    if open_to_all:
        os.environ["DICOM_NODE_OPEN"] = "true"
    logs.configure(log_format)
    with _part_of_site():
        listening.run(site_settings.load().node, processes.stop_on_signal())


@app.command()
def schedule(log_format: Logs = logs.LogFormat.console) -> None:
    """Run the scheduler alone: register images, judge series, open jobs, wake workers, clean the spool.

    Several may run on one database: one works, and another takes over within seconds where that one ends.
    """
    with _part_of_site():
        site = preflight.ready(log_format)
        sessions, identity_now = open_database(site.db_url), identity.current(site.worker)
        results = site.worker.results_dir.absolute()
        scheduling.run(site.node, sessions, site.worker.broker_url, identity_now, processes.stop_on_signal(), results)


@app.command()
def work(
    queue: Annotated[str, typer.Option(help="The queue to serve: analyse or deliver.")] = celery_app.ANALYSE,
    log_format: Logs = logs.LogFormat.console,
) -> None:
    """Run one worker on one queue."""
    if queue not in {celery_app.ANALYSE, celery_app.DELIVER}:
        raise typer.BadParameter(f"there are the queues {celery_app.ANALYSE} and {celery_app.DELIVER}")
    with _part_of_site():
        site = preflight.ready(log_format)
    celery_app.run(celery_app.Site(site.worker, site.db_url), queue)


@app.command()
def perform(log_format: Logs = logs.LogFormat.console) -> None:
    """Perform the items of the worklist that the site file names in [worklist]: IHE AI Workflow for Imaging.

    Items that are ours are claimed by UPS-RS, and completed once their results are delivered, with references to them;
    where there is no result they are canceled with the reason. Without that section it ends at once.
    """
    # The client of WebSockets would slow down every other command.
    from compose import performing  # noqa: PLC0415

    with _part_of_site():
        performing.run(preflight.ready(log_format), processes.stop_on_signal())


@app.command(name="web")
def serve_web(log_format: Logs = logs.LogFormat.console) -> None:
    """Take images by STOW-RS at /dicom-web/studies, into the listener's spool."""
    # The server's libraries would slow down every other command.
    from dicom_node.stow import server  # noqa: PLC0415

    logs.configure(log_format)
    with _part_of_site():
        node = site_settings.load().node
        host = site_file.host(node, site_file.load(node.site_file))
        server.run(node.model_copy(update={"host": host}), processes.stop_on_signal())


@app.command(name="monitor")
def serve_monitor(
    try_notification: Annotated[
        bool, typer.Option("--try-notification", help="Tell people of a trial, and end.")
    ] = False,
    log_format: Logs = logs.LogFormat.console,
) -> None:
    """Show by HTTP how the site does: /health/live, /health/ready, and /metrics for Prometheus; tell people of trouble.

    It changes nothing, and goes on while the other parts, or the database, are away: then it says so.
    """
    from compose.monitor import server  # noqa: PLC0415  slow, as that above

    logs.configure(log_format)
    with _part_of_site():
        if try_notification:
            server.try_channels(site_settings.load())
        else:
            server.run(site_settings.load(), processes.stop_on_signal())


@app.command(name="status-page")
def serve_status_page(log_format: Logs = logs.LogFormat.console) -> None:
    """Show the site in a browser to who has an account; the first: scleroscan user add NAME --role operator."""
    from compose.status_page import server  # noqa: PLC0415  slow, as that above

    with _part_of_site():
        server.run(preflight.ready(log_format), processes.stop_on_signal())


@database.command()
def upgrade() -> None:
    """Bring the tables to the newest migration; safe to run again."""
    OUT.print(f"the tables are at revision {schema.upgrade(site_settings.load().db_url)}")


@app.command(name="demo")
def run_demo(
    dicom_dir: Annotated[
        Path | None,
        typer.Option("--dicom", help="A CT series of your own instead of the phantom.", exists=True, file_okay=False),
    ] = None,
    folder: Annotated[Path, typer.Option("--out", help="Folder for everything the demo writes.")] = Path(
        "scleroscan-demo"
    ),
    as_json: AsJson = False,
) -> None:
    """Run the main job end to end on this machine, with nothing to install beside the package.

    A chest CT with disease of known extent is computed, sent by C-STORE to an embedded site, measured, and its SEG and
    SR delivered to an embedded archive; the result is compared with the truth.
    """
    # The phantom and its mathematics would double the start-up time of every other command.
    from compose import demo, demo_report  # noqa: PLC0415

    with ERR.status("starting") as spinner:

        def report(line: str) -> None:
            ERR.print(styled(when(datetime.now().astimezone()), "dim"), line)
            spinner.update(styled(line, ""))

        outcome = demo.run(folder, dicom_dir, report)
    if as_json:
        print_json(outcome.as_json())
    else:
        demo_report.show(outcome)
        OUT.print(RESEARCH, style="dim")
    if not outcome.is_delivered or not outcome.agrees:
        raise typer.Exit(1)


@app.command(name="doctor")
def examine(as_json: AsJson = False) -> None:
    """Check settings, database, broker, disk, weights and archives, and say how to mend each."""
    site = site_settings.load()
    checks = doctor.examine(site)
    if as_json:
        print_json([asdict(check) for check in checks])
    else:
        names, values = site_settings.setting_names(), site_settings.setting_values(site)
        OUT.print(printing.checks_table(checks), printing.settings_table(names, values), sep="\n")
    if not all(check.ok for check in checks):
        raise typer.Exit(1)


for command in (queries.status, images.send, images.route, images.pull, history.history, recovery.recover):
    app.command()(command)
app.command()(fetching.fetch)
for act in (operate.release, operate.discard, operate.recompute, operate.retry, operate.reconsider, operate.measure):
    app.command()(act)
app.command()(research.train)
app.command()(research.evaluate)
labelled.command()(dataset.check)
reviewed.command(name="list")(review.waiting)
reviewed.command()(review.show)
