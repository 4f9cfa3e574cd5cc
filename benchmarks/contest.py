"""Contestants take turns, A B A B …, so that what else the machine does slows all of them alike.

A benchmark of the table hands its contestants, ours first, to `run`. That prints the medians and
the ratios of the rounds, and keeps all seconds in benchmarks/results/ROW.json, of which
`benchmarks.page` makes the table.
"""

import concurrent.futures
import contextlib
import dataclasses
import json
import multiprocessing
import os
import pathlib
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.metadata import version

from benchmarks.turns import peak_megabytes
from mar.util.processes import end_with_parent

ROOT = pathlib.Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
_LIBRARIES = ("tensorflow", "keras", "numpy", "onnxruntime", "jax")


@dataclasses.dataclass(frozen=True)
class Cost:
    """What one turn of a contestant took.

    Attributes:
        seconds: of the clock.
        megabytes: at its peak; None where it is no process of its own.
    """

    seconds: float
    megabytes: float | None = None


@dataclasses.dataclass(frozen=True)
class Row:
    """What contestants took, as it is kept.

    Attributes:
        what: was measured, a sentence.
        seconds: of each contestant, a number a round; ours is the first.
        megabytes: at the peak of each that was a process of its own, the largest of its rounds.
        aims: how many times as long another one should take as ours.
        limit: name of the contestant that stands for what the machine can do.
        work: how many of `unit` a turn does, for rates.
        unit: of the work.
        machine: on which all ran, and with which libraries.
        load: mean number of processes that wanted to run, before and after.
    """

    what: str
    seconds: dict[str, list[float]]
    megabytes: dict[str, float]
    aims: dict[str, float]
    limit: str | None
    work: float | None
    unit: str
    machine: str
    load: tuple[float, float]

    @property
    def ours(self) -> str:
        """Name of the first contestant."""
        return next(iter(self.seconds))

    def ratios(self, other: str) -> list[float]:
        """How many times as long another contestant took as ours, in each round."""
        pairs = zip(self.seconds[other], self.seconds[self.ours], strict=True)
        return [theirs / ours for theirs, ours in pairs]

    @classmethod
    def load_from(cls, path: pathlib.Path) -> "Row":
        """Reads a kept row."""
        return cls(**json.loads(path.read_text(encoding="utf-8")))


def run(
    row: str,
    what: str,
    contestants: Mapping[str, Callable[[], object]],
    rounds: int = 5,
    warm_up: bool = True,
    aims: Mapping[str, float] | None = None,
    limit: str | None = None,
    work: float | None = None,
    unit: str = "",
) -> Row:
    """Lets contestants take turns, prints what they took, and keeps it.

    Args:
        row: name of the file of the result.
        contestants: ours first. A call is a turn; it is timed, unless it returns its `Cost`.
        rounds: turns of each that count.
        warm_up: whether a turn before them does not, in which much is compiled.
        aims, limit, work, unit: see `Row`.
    """
    before = os.getloadavg()[0]
    costs: dict[str, list[Cost]] = {name: [] for name in contestants}
    for number in range(0 if warm_up else 1, rounds + 1):
        if number <= 1:
            os.sync()  # what was written before would be on its way to the disk during some turns
        for name, contestant in contestants.items():
            result, seconds = timed(contestant)
            cost = result if isinstance(result, Cost) else Cost(seconds)
            if number:
                costs[name].append(cost)
    peaks = {
        name: max(cost.megabytes for cost in turns if cost.megabytes)
        for name, turns in costs.items()
        if turns[0].megabytes
    }
    measured = Row(
        what,
        {name: [cost.seconds for cost in turns] for name, turns in costs.items()},
        peaks,
        dict(aims or {}),
        limit,
        work,
        unit,
        machine(),
        (before, os.getloadavg()[0]),
    )
    show(measured)
    RESULTS.mkdir(exist_ok=True)
    text = json.dumps(dataclasses.asdict(measured), indent=1)
    (RESULTS / f"{row}.json").write_text(text + "\n", encoding="utf-8")
    return measured


def timed(function: Callable[[], object]) -> tuple[object, float]:
    """What a function returns, and its seconds."""
    began = time.perf_counter()
    result = function()
    return result, time.perf_counter() - began


def show(row: Row) -> None:
    """Prints a row: a contestant a line."""
    print(f"{row.what} (load {row.load[0]:.1f} to {row.load[1]:.1f})")
    for name, seconds in row.seconds.items():
        text = f"  {name:32} {statistics.median(seconds):10.4g} s"
        if row.work:
            text += f" {row.work / statistics.median(seconds):12,.5g} {row.unit}/s"
        if name != row.ours:
            ratios = row.ratios(name)
            text += f"   × {statistics.median(ratios):.3g} ({min(ratios):.3g} to {max(ratios):.3g})"
        if name in row.aims:
            text += f", aim {row.aims[name]:g}"
        if name in row.megabytes:
            text += f", {row.megabytes[name]:,.0f} MB"
        print(text, flush=True)


# What a process had at its peak counts that of the one that it is a copy of: this one is small.
_LAUNCHER = """
import json, os, sys, time
began = time.perf_counter()
silent = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
pid = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ, file_actions=silent)
_, status, usage = os.wait4(pid, 0)
seconds = time.perf_counter() - began
print(json.dumps([seconds, usage.ru_maxrss / 1024, os.waitstatus_to_exitcode(status)]))
"""


def process(command: Sequence[str | os.PathLike[str]], **environment: str) -> Cost:
    """Runs a program from its start to its exit: seconds, and the largest memory that it had.

    Raises:
        SystemExit: it failed.
    """
    launched = subprocess.run(
        [sys.executable, "-S", "-c", _LAUNCHER, *map(str, command)],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        check=True,
    )
    seconds, megabytes, code = json.loads(launched.stdout)
    if code:
        raise SystemExit(f"{command}: ended with {code}")
    return Cost(seconds, megabytes)


@contextlib.contextmanager
def program(command: Sequence[str | os.PathLike[str]]) -> Iterator[Callable[[], Cost]]:
    """Starts a program that calls `benchmarks.turns.take`, in whatever environment.

    Yields:
        a contestant: a call is a turn.

    Raises:
        SystemExit: it ended.
    """
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen([*map(str, command)], env=environment, **pipes) as process:

        def answer() -> list[str]:
            line = process.stdout.readline()
            if not line:
                raise SystemExit(f"{command}: ended with {process.wait()}")
            return line.split()

        def turn() -> Cost:
            print(file=process.stdin, flush=True)
            return Cost(*map(float, answer()))

        answer()
        yield turn


def child(function: Callable[..., float], *arguments: object) -> Cost:
    """Calls a function of a module in a new process: the seconds that it returns, its memory."""
    with concurrent.futures.ProcessPoolExecutor(
        1, multiprocessing.get_context("spawn"), end_with_parent
    ) as processes:
        seconds = processes.submit(function, *arguments).result()
        return Cost(seconds, processes.submit(peak_megabytes).result())


def machine() -> str:
    """The processor, how many cores of it, and the versions of what computes."""
    information = pathlib.Path("/proc/cpuinfo").read_text()
    lines = information.splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    if names and "avx512f" not in information:
        names[0] += " without AVX-512"  # by far slower
    libraries = []
    for library in _LIBRARIES:
        try:
            libraries.append(f"{library} {version(library)}")
        except ModuleNotFoundError:
            continue
    return f"{os.cpu_count()} cores, {names[0] if names else 'unknown'}; {', '.join(libraries)}"
