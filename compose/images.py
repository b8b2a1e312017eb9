"""The commands that move or explain images: send a folder, explain its routes, pull a study."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from compose import folders, route_lines, settings
from compose.errors import NothingToSend
from compose.json_output import AsJson, print_json
from compose.screen import ERR, OUT, print_lines
from db.address import ApplicationEntity
from dicom_node import site_file
from worker.delivery import dicom


def send(
    folder: Annotated[Path, typer.Argument(help="Folder of DICOM files, searched with all below it.", exists=True)],
    to: Annotated[str, typer.Argument(help="The receiver, as SCLEROSCAN@127.0.0.1:11112.", metavar="AET@HOST:PORT")],
    calling: Annotated[str, typer.Option(help="Our AE title as the receiver sees it.")] = "SCLEROSCAN",
    as_json: AsJson = False,
) -> None:
    """Send a folder of DICOM files by C-STORE; what lies beside them and is no DICOM is left out and counted."""
    receiver = ApplicationEntity.parse(to)
    paths, others = folders.dicom_below(folder)
    if not paths:
        raise NothingToSend(f"{folder} holds no DICOM file")
    columns = (TextColumn("sending"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=ERR) as progress:
        task = progress.add_task("send", total=len(paths))
        receipts = dicom.store(
            paths,
            receiver,
            calling,
            lambda done, _total: progress.update(task, completed=done),
        )
    if as_json:
        print_json({"accepted": len(receipts), "no_dicom": len(others)})
    else:
        OUT.print(f"{len(receipts)} images accepted by {to}")
        OUT.print(f"{len(others)} other files were left out: no DICOM that could be sent", style="dim")


def route(
    folder: Annotated[Path, typer.Argument(help="Folder of DICOM files, with all below it.", exists=True)],
    calling: Annotated[str, typer.Option(help="AE title of the sender, as the rules would see it.")] = "",
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Also why each rule before did not hold.")] = False,
    as_json: AsJson = False,
) -> None:
    """Explain for every series of a folder what would happen to it, and why; nothing is sent or kept."""
    # The reading gate decodes pixels: its libraries would slow down every other command.
    from compose import routes  # noqa: PLC0415

    found, others = routes.explain(folder, site_file.load(settings.load().node.site_file).routing, calling)
    if as_json:
        print_json({"series": [asdict(one) for one in found], "no_dicom": others})
    else:
        print_lines(route_lines.route_lines(found, verbose))
        OUT.print(f"{others} files are no DICOM", style="dim")


def pull(
    study_uid: Annotated[str, typer.Argument(help="Study Instance UID.")],
    series_uid: Annotated[str | None, typer.Option("--series", help="One series of it; without it all.")] = None,
    source: Annotated[
        str | None,
        typer.Option("--from", help="dicom://AET@host:port or a DICOMweb URL.", show_default="DICOM_NODE_SOURCE"),
    ] = None,
) -> None:
    """Fetch a study or series from an archive into the spool: by WADO-RS, or by C-GET and, failing that, C-MOVE.

    With C-MOVE the archive sends to our AE title, so it has to know us, and the listener has to run.
    """
    # Their libraries would slow down every other command.
    from dicom_node.retrieve import pull as retrieval  # noqa: PLC0415
    from dicom_node.retrieve.request import RetrieveRequest  # noqa: PLC0415

    with ERR.status("fetching"):
        pulled = retrieval.run(settings.load().node, RetrieveRequest(study_uid, series_uid), source)
    OUT.print(f"{pulled.images} images by {pulled.way}; {pulled.left_out} other objects left out")
