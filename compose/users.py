"""The commands ``user add``, ``user list`` and ``user remove``: who may log in to the status page."""

import secrets
from typing import TYPE_CHECKING, Annotated

import typer

from compose import settings
from compose.screen import say
from compose.status_page.roles import Role

if TYPE_CHECKING:
    from compose.status_page.accounts import Accounts

app = typer.Typer(help="Who may log in to the status page.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="The name to log in with.", metavar="NAME")]


@app.command()
def add(
    name: Name,
    role: Annotated[Role, typer.Option(help="A viewer looks; an operator also retries, releases and discards.")],
    patients: Annotated[bool, typer.Option("--patients", help="Show this person names and IDs of patients.")] = False,
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the password from the first line of standard input.")
    ] = False,
) -> None:
    """Add an account with a password made here and shown once; of one that is there, change role and password."""
    password = typer.get_text_stream("stdin").readline().rstrip("\n") if password_stdin else secrets.token_urlsafe(15)
    accounts = _accounts()
    accounts.put(name, role, patients, password)
    sees = "sees patients" if patients else "sees no patient's name or ID"
    say(f"{name} is {role}, and {sees}")
    if not password_stdin:
        say(f"password, shown only now: {password}")


@app.command(name="list")
def show() -> None:
    """List the accounts."""
    known = _accounts().all()
    for name, account in sorted(known.items()):
        say(f"{name} {account.role}{' patients' if account.sees_patients else ''}")
    if not known:
        say("there is no account: scleroscan user add NAME --role operator")


@app.command()
def remove(name: Name) -> None:
    """Remove an account; who is logged in with it is logged out at once."""
    _accounts().remove(name)
    say(f"{name} may not log in any more")


def _accounts() -> "Accounts":
    # Its hashing library would slow down every other command.
    from compose.status_page.accounts import Accounts  # noqa: PLC0415

    return Accounts(settings.load().status_page.accounts)
