"""Kills of a process at a chosen moment."""

import os
import signal


def at_change(moment, when):
    """Kills this process where a file takes its name, or loses it, for the `moment`-th time.

    Args:
        moment: counted from 1; 0 for never.
        when: "before" or "after" it.

    Returns:
        The list of the names so far, which grows.
    """
    names: list = []

    def counted(function):
        def call(name, *others, **options):
            names.append(name)
            chosen = len(names) == moment
            if chosen and when == "before":
                os.kill(os.getpid(), signal.SIGKILL)
            function(name, *others, **options)
            if chosen:
                os.kill(os.getpid(), signal.SIGKILL)

        return call

    os.replace, os.unlink = counted(os.replace), counted(os.unlink)
    return names


def at_replace(moment, when, by=signal.SIGKILL, of=""):
    """Kills this process where a file takes its name for the `moment`-th time, counted from 1.

    Args:
        moment: 0 for never.
        when: "before" or "after" it.
        by: the signal.
        of: how the names end that are counted.

    Returns:
        The list of the names so far, which grows.
    """
    replace, names = os.replace, []

    def counted(source, target):
        is_counted = str(target).endswith(of)
        names.extend([target] * is_counted)
        if is_counted and len(names) == moment and when == "before":
            os.kill(os.getpid(), by)
        replace(source, target)
        if is_counted and len(names) == moment and when == "after":
            os.kill(os.getpid(), by)

    os.replace = counted
    return names
