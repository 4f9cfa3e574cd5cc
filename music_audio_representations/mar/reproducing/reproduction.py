"""The paper's tables from audio: fetch, check, embed, probe, and tell of it on a page.

    reproduction/
        index.html                            how far it is, and Tables 1 to 4
        embeddings/MODEL/COLLECTION/          data sets, as mar embed writes them
        results/PROBES/TASK/MODEL/0/          runs, as mar probe writes them

All that is known lies in these folders, so that a run that was killed is resumed.
"""

import concurrent.futures
import contextlib
import dataclasses
import functools
import logging
import pathlib
import threading
from collections.abc import Iterator, Sequence

from mar.audio.windows import Windows
from mar.embedding import cluster, files
from mar.embedding.catalogue import Catalogue
from mar.embedding.encoders.address import Address, of_embeddings
from mar.embedding.encoders.imported import take_over
from mar.embedding.model_names import published_as, told_by_file
from mar.embedding.store import Embeddings
from mar.errors import ConfigError, InputError
from mar.probing.results import read_run
from mar.reproducing import audio, page
from mar.reproducing.audio import Check, Located
from mar.reproducing.collections import COLLECTIONS, TASKS, Collection, Place, of_task
from mar.reproducing.probes import PUBLISHED, check_published, hash_of
from mar.reproducing.request import Request
from mar.reproducing.state import DataSet, Remaining, State, by_windows
from mar.reproducing.workers import Job, Submit, workers
from mar.tasks import Task, fetching
from mar.util.atomic import make_folder
from mar.util.files import below

_PAGE_SECONDS = 30.0
_SHOWN = 5
_TOLD = (ConfigError, InputError)  # what prevents one task from being measured
logger = logging.getLogger("mar")


class Reproduction:
    """A reproduction, and how far it is.

    Args:
        request: what is asked for.

    Attributes:
        request: the same.
        source: the published model that the model is, or None.
        theirs: the address of embeddings that others made, in place of a model; None for a model.
        states: the `State` of each of the paper's tasks, by name.
        checks: the `Check` of each collection that is at hand, by name.
        sets: the `DataSet`s.
        remaining: how long embedding will take; None before it began.

    Raises:
        InputError: the output cannot be made, or the model has no published probes.
    """

    def __init__(self, request: Request) -> None:
        self.request = request
        self.source = published_as({"model_source": request.model, **told_by_file(request.model)})
        if request.choice.kind == PUBLISHED:
            check_published(self.source, request.model)
        make_folder(request.output)
        self.theirs = of_embeddings(request.model)
        self.states: dict[str, State] = {}
        self.checks: dict[str, Check] = {}
        self.sets: list[DataSet] = []
        self.remaining: Remaining | None = None
        self._guard = threading.Lock()

    def run(self) -> bool:
        """Does what is left to do; returns whether all was measured (of a shard: embedded) that was
        asked for and whose audio is at hand.

        Raises:
            InputError: the output cannot be written, or the published probes cannot be had.
        """
        request = self.request
        if request.choice.kind == PUBLISHED:
            fetching.fetch(fetching.PROBES)
        for name in TASKS:
            self.states[name] = self._at_first(name)
        with self._kept_up_to_date():
            tasks = self._tasks()
            for collection in COLLECTIONS:
                self._locate(collection, [task for task in tasks if task.name in collection.tasks])
            self.remaining = Remaining(self.sets, self.checks)
            with workers(request.jobs) as submit:
                probes = [probe for each in self.sets for probe in self._measure(each, submit)]
                concurrent.futures.wait(probes)
            for probe in probes:
                if (error := probe.exception()) and not isinstance(error, _TOLD):
                    raise error
        done = ["measured", "left out", *(["waiting"] if request.shard != (0, 1) else [])]
        return all(self.states[name].stage in done for name in request.tasks)

    # -------------------------------------------------------------------------------- what is there

    def _at_first(self, name: str) -> State:
        if name not in self.request.tasks:
            return State("left out", "not among --tasks")
        if self.theirs is None and self._place(name).audio is None:
            return State("left out", "its audio is not given")
        if self.theirs is not None and not (folder := _folder_of(self.theirs, name)).is_dir():
            return State("left out", f"there is no {folder}")
        return State("waiting")

    def _place(self, task: str) -> Place:
        return self.request.places[of_task(task).name]

    def _tasks(self) -> list[Task]:
        """The tasks whose annotations are there; what of them is free to download is."""
        tasks = []
        for name, state in self.states.items():
            if state.stage == "waiting":
                with self._told(name):
                    if (metadata := self._metadata(name)) is None:
                        fetching.fetch(name)
                    tasks.append(Task(name, metadata))
        return tasks

    def _metadata(self, name: str) -> pathlib.Path | None:
        """The folder of a task's official files; None for where they are fetched to."""
        place = self._place(name)
        return place.metadata.get(name, place.audio if of_task(name).is_annotated else None)

    def _locate(self, collection: Collection, tasks: list[Task]) -> None:
        """Finds a collection's audio and checks it; or takes its embeddings over."""
        folder, sets = self.request.places[collection.name].audio, []
        if self.theirs is not None:
            sets = [
                self._taken_over(self.theirs, collection, names, tasks)
                for names in by_windows(collection)
            ]
        elif folder is not None and tasks:
            there = sorted(below(folder))
            for names in by_windows(collection):
                located = self._located(names, tasks, there, folder)
                sets.append(DataSet(collection, folder, self._folder(collection, names), located))
            self._check(sets)
        self.sets += [each for each in sets if each.located]

    def _check(self, sets: Sequence[DataSet]) -> None:
        """Checks the audio of all data sets of a collection."""
        embedded = [embeddings for each in sets if (embeddings := each.opened()) is not None]
        located = [each for of_set in sets for each in of_set.located]
        collection, folder = sets[0].collection, sets[0].audio
        self.checks[collection.name] = audio.check(collection, folder, located, embedded)

    def _located(
        self, names: Sequence[str], tasks: Sequence[Task], there: list[str], folder: pathlib.Path
    ) -> list[Located]:
        """Those of the tasks that have these names, with the paths of their items."""
        located = []
        for task in tasks:
            if task.name in names:
                with self._told(task.name):
                    paths = task.locate(there)
                    if not any(paths):
                        raise InputError(f"{folder}: none of its {len(paths)} items is there")
                    located.append(Located(task, paths))
        return located

    def _taken_over(
        self, theirs: Address, collection: Collection, names: Sequence[str], tasks: Sequence[Task]
    ) -> DataSet:
        """The data set of embeddings that others made."""
        place, folder = _folder_of(theirs, names[0]), self._folder(collection, names)
        each = DataSet(collection, place, folder, [], is_complete=True)
        asked = [task.name for task in tasks if task.name in names]
        with self._told(*asked):
            if asked:
                make_folder(folder.parent)
                take_over(dataclasses.replace(theirs, place=str(place)), folder, "mean", "parquet")
                each.located = self._located(names, tasks, Embeddings(folder).paths, place)
        return each

    def _folder(self, collection: Collection, names: Sequence[str]) -> pathlib.Path:
        return self.request.output / "embeddings" / self.request.row / _name(collection, names)

    # ------------------------------------------------------------------------------------ measuring

    def _measure(self, each: DataSet, submit: Submit) -> Iterator[concurrent.futures.Future]:
        """Embeds a data set and begins the probes of its tasks."""
        names = [located.task.name for located in each.located]
        waiting = [name for name in names if self.states[name].stage == "waiting"]
        self._tell(waiting, State("embedding"))
        with self._told(*waiting):
            self._embed(each)
            self._tell(waiting, State("waiting"))
            for located in each.located:
                if located.task.name in waiting:
                    with self._told(located.task.name):
                        yield from self._probed(located, each, submit)

    def _embed(self, each: DataSet) -> None:
        if each.is_complete:
            return
        request, failed_before = self.request, each.failures()
        make_folder(each.folder.parent)
        windows = Windows.from_config({"Windows": each.located[0].task.windows})
        job = Catalogue(windows=windows, workers=request.workers)
        items = files.named(str(each.audio), each.paths)
        if request.ray_address:
            cluster.run(job, request.model, items, each.folder, request.ray_address, request.shard)
        else:
            job.run(request.model, items, each.folder, request.shard)
        each.is_complete = not each.left()
        if each.failures() != failed_before:  # a file was mended, or turned out to be broken
            self._check([other for other in self.sets if other.collection is each.collection])

    def _probed(
        self, located: Located, each: DataSet, submit: Submit
    ) -> Iterator[concurrent.futures.Future]:
        """Begins the probe of a task, unless its result is there."""
        request, name = self.request, located.task.name
        if request.shard != (0, 1) or not each.is_complete:
            self._tell([name], State("waiting", "for the other shards; then run without --shard"))
            return
        embeddings, problem = Embeddings(each.folder), ""
        if absent := located.without_embedding(embeddings):
            problem = (
                f"{len(absent)} of {len(located.paths)} items have no embedding, such as "
                f"{', '.join(absent[:_SHOWN])}"
            )
            if not request.allow_missing:
                raise InputError(f"{problem}; put them there, or give --allow_missing")
        config = request.choice.path(located.task.info, self.source)
        asked = hash_of(located, embeddings, config, request.choice.trials)
        if self._is_measured(name, asked):
            self._tell([name], State("measured", problem))
            return
        job = Job(
            *(name, self._metadata(name), each.folder, config, request.choice.trials),
            *(request.results, request.row, asked),
        )
        future = submit(job, functools.partial(self._tell, [name], State("probing")))
        future.add_done_callback(functools.partial(self._ended, name, problem))
        yield future

    def _is_measured(self, name: str, asked: str) -> bool:
        """Whether there is the result that is asked for."""
        folder = self.request.results / name / self.request.row / "0"
        return (folder / "result.json").exists() and read_run(folder).facts.get("asked") == asked

    def _ended(self, name: str, problem: str, future: concurrent.futures.Future) -> None:
        error = None if future.cancelled() else future.exception()
        if isinstance(error, _TOLD):
            self._tell([name], State("missing", str(error)))
        elif error or future.cancelled():  # by Ctrl-C, or by a defect that `run` raises
            self._tell([name], State("waiting"))
        else:
            self._tell([name], State("measured", problem))

    # -------------------------------------------------------------------------------------- telling

    @contextlib.contextmanager
    def _told(self, *names: str) -> Iterator[None]:
        """What prevents a task from being measured is its state, and does not prevent others."""
        try:
            yield
        except _TOLD as error:
            self._tell(names, State("missing", str(error)))

    def _tell(self, names: Sequence[str], state: State) -> None:
        for name in names:
            self.states[name] = state
            if state != State("waiting"):
                logger.info("%s: %s%s", name, state.stage, f": {state.why}" if state.why else "")
        self._write_page()

    def _write_page(self, is_running: bool = True) -> None:
        with self._guard:
            page.write(self, is_running)

    @contextlib.contextmanager
    def _kept_up_to_date(self) -> Iterator[None]:
        """The page is written again and again within the block, and at its end."""
        ended = threading.Event()

        def write() -> None:
            while not ended.wait(_PAGE_SECONDS):
                with contextlib.suppress(InputError):  # is raised by the next write of `_tell`
                    self._write_page()

        self._write_page()
        thread = threading.Thread(target=write, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
            self._write_page(is_running=False)


def _name(collection: Collection, names: Sequence[str]) -> str:
    """Of a data set: the collection, or those of its tasks that have windows of their own."""
    return collection.name if names == list(collection.tasks) else "+".join(names)


def _folder_of(theirs: Address, task: str) -> pathlib.Path:
    """Where embeddings of a task lie that others made: called as the data set is."""
    collection = of_task(task)
    (names,) = (names for names in by_windows(collection) if task in names)
    return pathlib.Path(theirs.place, _name(collection, names))
