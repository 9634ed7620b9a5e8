"""What every executor must do, whatever runs the trials: serial and Ray pass the same tests.

The reference is a population driven by hand, to which nothing happens (`scripted.Keeper`). The
searches are scripted: this is about who trains what, what is written, and what survives.
"""

from __future__ import annotations

import functools
import math
import socket
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from executor_cases import (
    DOOMED,
    EPOCH_IMAGES,
    FAULTLESS,
    FAULTS,
    FAULTY,
    LEARNS_ONLY,
    POPULATIONS,
    MakeRunner,
    by_hand,
    checkpoints_left,
    config_of,
    new_storage,
    reference,
    results,
    rows_by_trial,
)
from own_members import KEEP_OWN, OWN_FAULTS, needed_checkpoints
from scripted import run_undisturbed
from scripted_runner import RAISES, ScriptedRunner, Trial, accidents_that_happened, trainings

from lfs_ray.config.sections import Config
from lfs_ray.execution.blueprint import plan_population
from lfs_ray.storage import Storage
from lfs_ray.trials.committed import committed_rounds, trials_folder
from lfs_ray.trials.read import read_trials


class ExecutorContract:
    """Tests of an executor; a subclass says how it runs."""

    deadly = "interrupt"
    """The accident that ends what trains: the whole search, or a worker that starts again."""

    @classmethod
    def run(cls, config: Config, storage: Storage, make_runner: MakeRunner) -> str:
        """Run or continue a search to its end; the reason where it stopped before."""
        raise AssertionError("a subclass runs")

    @classmethod
    def run_to_end(cls, config: Config, storage: Storage, make_runner: MakeRunner) -> str:
        """The same, begun again by hand whenever the whole of it was ended."""
        while True:
            try:
                return cls.run(config, storage, make_runner)
            except (KeyboardInterrupt, SystemExit):
                continue

    @pytest.fixture(scope="class")
    @classmethod
    def finished(cls, tmp_path_factory: pytest.TempPathFactory) -> tuple[Config, Storage, Path]:
        """A finished search of several populations, some members failing."""
        folder = tmp_path_factory.mktemp("finished")
        config = config_of(POPULATIONS, keep_last=2, compact_rounds=2)
        storage = new_storage(folder, config)
        make_runner = functools.partial(
            ScriptedRunner,
            script=FAULTY,
            storage=storage,
            marks=folder / "marks",
            accidents={("train", ("learns", 0, 2)): "raise", ("store", ("random", 1, 0)): "raise"},
        )
        assert cls.run(config, storage, make_runner) == ""
        return config, storage, folder / "marks"

    def test_populations_together_equal_each_alone(
        self, finished: tuple[Config, Storage, Path]
    ) -> None:
        config, storage, _ = finished
        assert results(config, storage) == reference(config, FAULTY)

    def test_one_row_per_member_and_round(self, finished: tuple[Config, Storage, Path]) -> None:
        config, storage, _ = finished
        wanted = [
            (name, number, member)
            for name, one in config.populations.items()
            for number in range(one.search.rounds)
            for member in range(one.search.members)
        ]
        table = read_trials(storage.url)
        assert list(table.index) == sorted(wanted)
        for name in config.populations:
            assert (table.loc[name].groupby("round")["selected"].sum() == 1).all()

    def test_failing_trial_is_tried_once_more_then_failed(
        self, finished: tuple[Config, Storage, Path]
    ) -> None:
        config, storage, marks = finished
        begun, rows = trainings(marks), rows_by_trial(config, storage)
        for trial, fault in FAULTS.items():
            row = rows[trial]
            assert (begun[trial], row["attempts"], row["status"]) == (2, 2, "failed")
            assert math.isnan(float(str(row["reward"])))
            assert math.isnan(float(str(row["advantage"])))
            assert row["host"] == socket.gethostname()
            assert row["worker"] in ("0", "1")
            cause = "ValueError: scripted (worker " if fault is RAISES else "reward must be fin"
            assert cause in str(row["error"])
        twice = {*FAULTS, ("learns", 0, 2), ("random", 1, 0)}
        assert begun == Counter({trial: 2 if trial in twice else 1 for trial in rows})

    def test_trial_that_fails_once_is_a_good_one(
        self, finished: tuple[Config, Storage, Path]
    ) -> None:
        config, storage, marks = finished
        assert accidents_that_happened(marks) == 2
        for trial in (("learns", 0, 2), ("random", 1, 0)):
            row = rows_by_trial(config, storage)[trial]
            assert (row["status"], row["attempts"], row["error"]) == ("ok", 2, None)

    def test_only_checkpoints_that_are_needed_are_left(
        self, finished: tuple[Config, Storage, Path]
    ) -> None:
        config, storage, _ = finished
        for name in config.populations:
            winners = [
                row
                for one in committed_rounds(storage, name)
                for row in one.rows
                if row["selected"]
            ]
            best = max(winners, key=lambda row: float(str(row["reward"])))
            needed = {str(row["checkpoint"]) for row in [*winners[-2:], best]}
            assert checkpoints_left(storage, name) == needed
            assert storage.list(f"populations/{name}/journal") == []

    def test_closed_rounds_are_compacted(self, finished: tuple[Config, Storage, Path]) -> None:
        _, storage, _ = finished
        found = {name: len(storage.list(trials_folder(name))) for name in POPULATIONS}
        assert found == {"learns": 3, "selects": 2, "random": 2, "fixed": 1}

    def test_run_that_is_finished_trains_nothing(
        self, finished: tuple[Config, Storage, Path], tmp_path: Path
    ) -> None:
        config, storage, _ = finished
        before = results(config, storage)
        runner = functools.partial(
            ScriptedRunner, script=FAULTY, storage=storage, marks=tmp_path / "marks"
        )
        assert self.run(config, storage, runner) == ""
        assert trainings(tmp_path / "marks") == Counter()
        assert results(config, storage) == before

    def test_round_without_survivors_stops_and_is_reopened(self, tmp_path: Path) -> None:
        config = config_of(LEARNS_ONLY)
        storage = new_storage(tmp_path, config)
        runner = functools.partial(ScriptedRunner, storage=storage, marks=tmp_path / "marks")
        reason = self.run(config, storage, functools.partial(runner, script=DOOMED))
        assert "all 4 failed (member 0: ValueError: scripted" in reason
        assert len(committed_rounds(storage, "learns")) == 2
        assert self.run(config, storage, functools.partial(runner, script=FAULTLESS)) == ""
        assert results(config, storage) == reference(config, FAULTLESS)

    def test_search_that_is_ended_again_and_again_equals_the_undisturbed(
        self, tmp_path: Path
    ) -> None:
        config = config_of({name: POPULATIONS[name] for name in ("learns", "selects")})
        storage = new_storage(tmp_path, config)
        trials = [("learns", 0, 3), ("learns", 2, 0), ("selects", 1, 1)]
        accidents = {("train", trial): self.deadly for trial in trials}
        # Round 1's winner dies in the middle of its upload.
        winner = _winner(config, "learns", 1)
        make_runner = functools.partial(
            ScriptedRunner,
            script=FAULTY,
            storage=storage,
            marks=tmp_path / "marks",
            accidents={**accidents, ("store", winner): self.deadly},
        )
        assert self.run_to_end(config, storage, make_runner) == ""
        assert accidents_that_happened(tmp_path / "marks") == 4
        assert results(config, storage) == reference(config, FAULTY)

    def test_members_that_keep_something_of_their_own_survive_too(self, tmp_path: Path) -> None:
        config = config_of(KEEP_OWN, keep_last=2, compact_rounds=2)
        storage = new_storage(tmp_path, config)
        trials = [("weights", 1, 0), ("weights", 3, 2), ("momentum", 2, 1), ("both", 3, 0)]
        make_runner = functools.partial(
            ScriptedRunner,
            script=OWN_FAULTS,
            storage=storage,
            marks=tmp_path / "marks",
            accidents={
                **{("train", trial): self.deadly for trial in trials},
                ("store", ("both", 1, 2)): self.deadly,
            },
        )
        assert self.run_to_end(config, storage, make_runner) == ""
        assert accidents_that_happened(tmp_path / "marks") == 5
        assert results(config, storage) == reference(config, OWN_FAULTS)
        for name in config.populations:
            assert checkpoints_left(storage, name) == needed_checkpoints(storage, name)

    def test_journal_is_used_after_a_restart(self, tmp_path: Path) -> None:
        config = config_of(LEARNS_ONLY)
        storage = new_storage(tmp_path, config)
        runner = ScriptedRunner(script=FAULTLESS, storage=storage, marks=tmp_path / "before")
        by_hand(config, storage, runner, trials=6)
        assert len(storage.list("populations/learns/journal")) == 2
        rest = functools.partial(replace, runner, marks=tmp_path / "after")
        assert self.run(config, storage, rest) == ""
        assert results(config, storage) == reference(config, FAULTLESS)
        begun = trainings(tmp_path / "before") + trainings(tmp_path / "after")
        assert set(begun.values()) == {1}
        assert begun.total() == 4 * 5


def _winner(config: Config, population: str, number: int) -> Trial:
    """The trial that the reference selects in a round."""
    undisturbed = run_undisturbed(*plan_population(config, population, EPOCH_IMAGES), FAULTY)
    return population, number, undisturbed.committed[number].parent.member
