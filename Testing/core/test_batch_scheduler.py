"""Batches on a Dask scheduler that is there: it is killed and comes back, workers join and leave, nothing is lost."""

from __future__ import annotations

from contextlib import ExitStack

import pytest
from made_cluster import booked, free_port, start_batch, start_scheduler, start_worker, wait_until
from made_studies import write_study

pytest.importorskip("distributed")


@pytest.fixture
def processes():
    with ExitStack() as stack:

        def kept(process):
            stack.callback(process.wait)
            stack.callback(process.kill)
            return process

        yield kept


def test_a_scheduler_that_is_killed_and_comes_back_costs_nothing_and_workers_may_come_and_go(tmp_path, processes):
    studies, out, port = tmp_path / "studies", tmp_path / "out", free_port()
    for number in range(30):
        write_study(studies / f"{number:02d}.nrrd", number, side=192)
    scheduler, worker = processes(start_scheduler(port)), processes(start_worker(port))
    batch = processes(start_batch(studies, out, port))
    wait_until(lambda: len(booked(out)) >= 5, batch)
    scheduler.kill()
    scheduler.wait()
    before = len(booked(out))
    worker.wait(60)  # dask's workers end without their scheduler
    processes(start_scheduler(port))
    second = processes(start_worker(port))
    wait_until(lambda: len(booked(out)) >= before + 5, batch)
    third = processes(start_worker(port))  # joins
    wait_until(lambda: len(booked(out)) >= before + 10, batch)
    second.terminate()  # leaves
    text, told = batch.communicate(timeout=120)
    assert batch.returncode == 0, (text, told)
    assert "30 of 30 studies done" in text
    assert "was lost; waiting up to" in told
    assert third.poll() is None  # it was this one that ended the batch

    entries = booked(out)
    assert len(entries) == len({entry["name"] for entry in entries}) == 30
    assert {entry["output"] for entry in entries} == {path.name for path in out.glob("*.nrrd")}
    assert not [path for path in out.iterdir() if path.name.startswith(".")]


def test_a_scheduler_that_does_not_come_back_ends_the_batch_in_a_sentence_and_the_same_command_goes_on(
    tmp_path, processes, monkeypatch
):
    from inference_core.batch import run
    from inference_core.batch.recipe import Recipe
    from inference_core.errors import UserError

    monkeypatch.setattr(run, "PATIENCE_S", 1.0)
    studies, out, port = tmp_path / "studies", tmp_path / "out", free_port()
    for number in range(8):
        write_study(studies / f"{number}.nrrd", number)
    scheduler = processes(start_scheduler(port))
    processes(start_worker(port))

    def kill(kind, **told):
        if kind == "study" and len(booked(out)) == 3:
            scheduler.kill()

    with pytest.raises(UserError) as error:
        run.run_batch(studies, out, Recipe(), f"tcp://127.0.0.1:{port}", None, kill)
    assert error.value.code == "scheduler-lost"
    done = booked(out)
    assert 3 <= len(done) < 8
    entries = run.run_batch(studies, out, Recipe(), None, 1, lambda *told, **more: None)
    assert [entry["status"] for entry in entries] == ["done"] * 8
    assert booked(out)[: len(done)] == done
    assert len({entry["name"] for entry in booked(out)}) == len(booked(out)) == 8
