"""Whether the real command understands words, as documents, containers and units write them."""

from typing import Any

import typer

from compose import command_line


def fault_of(words: list[str]) -> str | None:
    """Return what the command says against words after ``scleroscan``; None where it would run them.

    Nothing runs. That a file is absent is no fault: examples name files of their readers.
    """
    command, context, rest = typer.main.get_command(command_line.app), None, list(words)
    while hasattr(command, "commands") and rest and not rest[0].startswith("-"):
        if rest[0] not in command.commands:
            return f"no command {rest[0]}"
        context, command = command.context_class(command, context, command.name), command.commands[rest.pop(0)]
    command = _with_show(command)
    try:
        command.make_context(command.name, rest, parent=context)
    except typer.Exit:
        return None
    except Exception as error:
        said = getattr(error, "format_message", None)
        if said is None:
            raise
        return None if "does not exist" in said() else str(said())
    return None


def unknown_in(words: list[str]) -> str | None:
    """Return the first word of a command, as a sentence mentions it, that is no command or option of ours."""
    command, rest = typer.main.get_command(command_line.app), list(words)
    if rest[0].isupper():
        return None
    while hasattr(command, "commands") and rest and rest[0][:1].islower():
        if rest[0] not in command.commands:
            return rest[0]
        command = command.commands[rest.pop(0)]
    options = {name for option in _with_show(command).params for name in option.opts + option.secondary_opts} | {
        "--help",
        "-h",
    }
    return next((word for word in rest if word.startswith("-") and word not in options), None)


def names() -> list[str]:
    """Return the names of all commands of the first level."""
    return list(typer.main.get_command(command_line.app).commands)


def _with_show(command: Any) -> Any:
    """Return what a group does without the name of a command: `audit` stands for `audit show`."""
    return getattr(command, "commands", {}).get("show", command)
