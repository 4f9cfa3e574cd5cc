"""Kills of a process at a chosen moment."""

import os
import signal


def at_replace(moment, when):
    """Kills this process where a file takes its name for the `moment`-th time, counted from 1.

    Args:
        moment: 0 for never.
        when: "before" or "after" it.

    Returns:
        The list of the names so far, which grows.
    """
    replace, names = os.replace, []

    def counted(source, target):
        names.append(target)
        if len(names) == moment and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        replace(source, target)
        if len(names) == moment and when == "after":
            os.kill(os.getpid(), signal.SIGKILL)

    os.replace = counted
    return names
