"""``python -m tests.support.supervised listener web``: a broker, and these parts of a site."""

import os
import sys

from compose import broker, command_line, logs, processes


def main() -> None:
    """Run the parts until SIGTERM."""
    parts = {one.name: one for one in processes.of_site(True, True, True, True)}
    logs.configure(logs.LogFormat.console)
    managed, stop = tuple(parts[name] for name in sys.argv[1:]), processes.stop_on_signal()
    with broker.running("embedded"):
        processes.Supervisor(managed, command_line.main, os.environ).run(stop)


if __name__ == "__main__":
    main()
