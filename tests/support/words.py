"""Whether the real command understands words, as documents, containers and units write them."""

import typer

import scleroscan


def fault_of(words: list[str]) -> str | None:
    """Return what the command says against words after ``scleroscan``; None where it would run them.

    Nothing runs. That a file is absent is no fault: examples name files of their readers.
    """
    command, context, rest = typer.main.get_command(scleroscan.app), None, list(words)
    while hasattr(command, "commands") and rest and not rest[0].startswith("-"):
        if rest[0] not in command.commands:
            return f"no command {rest[0]}"
        context, command = command.context_class(command, context, command.name), command.commands[rest.pop(0)]
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
