"""Kills of a process at a chosen moment."""

import itertools
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
    numbers = itertools.count(1)  # threads draw each number once

    def counted(function):
        def call(name, *others, **options):
            names.append(name)
            chosen = next(numbers) == moment
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
    numbers = itertools.count(1)  # threads draw each number once

    def counted(source, target):
        if not str(target).endswith(of):
            return replace(source, target)
        names.append(target)
        chosen = next(numbers) == moment
        if chosen and when == "before":
            os.kill(os.getpid(), by)
        replace(source, target)
        if chosen and when == "after":
            os.kill(os.getpid(), by)

    os.replace = counted
    return names
