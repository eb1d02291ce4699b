"""What a batch keeps and shows: ledger, lock, recipe, tables."""

from __future__ import annotations

import csv
import json
import os
import platform
import subprocess
import sys
import time
from html.parser import HTMLParser

import pytest

from inference_core.batch import lock
from inference_core.batch.ledger import Ledger
from inference_core.batch.recipe import Recipe, read_recipe
from inference_core.batch.summary import SHOWN, reasons, totals, write_summary
from inference_core.errors import UserError


def entry(path, status="done", **more):
    told = {"code": "not-ct", "message": "It is none.", "remedy": "Give one."} if status != "done" else {}
    return {"name": path, "path": path, "series": None, "files": 1, "status": status, **told, **more}


def test_a_living_batch_is_not_disturbed_and_a_killed_one_does_not_stand_in_the_way(tmp_path):
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    file = tmp_path / "running"
    try:
        with lock.only_one(tmp_path):
            told = json.loads(file.read_text()) | {"pid": other.pid}
        file.write_text(json.dumps(told))
        with pytest.raises(UserError) as error, lock.only_one(tmp_path):
            pass
        assert error.value.code == "busy"
        assert f"process {other.pid} on {platform.node()}" in error.value.message
    finally:
        other.kill()
        other.wait()
    with lock.only_one(tmp_path):  # the one that was killed does not stand in the way
        assert json.loads(file.read_text())["pid"] == os.getpid()
    assert not any(tmp_path.iterdir())


def test_a_batch_of_another_machine_counts_as_alive_while_it_gives_signs_of_life(tmp_path, monkeypatch):
    file = tmp_path / "running"
    file.write_text(json.dumps({"host": "another machine", "pid": os.getpid()}))
    with pytest.raises(UserError) as error, lock.only_one(tmp_path):
        pass
    assert "on another machine" in error.value.message
    long_ago = time.time() - lock.GONE_S - 5
    os.utime(file, (long_ago, long_ago))
    monkeypatch.setattr(lock, "BEAT_S", 0.05)
    with lock.only_one(tmp_path):
        os.utime(file, (long_ago, long_ago))
        time.sleep(0.5)
        assert file.stat().st_mtime > long_ago + lock.GONE_S  # this one gives signs of life itself
    file.write_text("")  # cut off as it was written
    os.utime(file, (long_ago, long_ago))
    with lock.only_one(tmp_path):
        pass


@pytest.mark.skipif(not os.path.exists("/proc/self/ns/pid"), reason="no /proc")
@pytest.mark.parametrize("other", ["boot", "processes"])
def test_a_machine_or_container_of_the_same_name_is_another(tmp_path, other):
    file = tmp_path / "running"
    with lock.only_one(tmp_path):
        told = json.loads(file.read_text())
    file.write_text(json.dumps(told | {"pid": os.getpid(), other: "another"}))
    with pytest.raises(UserError) as error, lock.only_one(tmp_path):
        pass
    assert error.value.code == "busy"


def test_a_ledger_that_was_cut_short_is_read_as_far_as_it_goes(tmp_path):
    ledger = Ledger(tmp_path)
    ledger.write({"name": "a", "status": "done"})
    with (tmp_path / "ledger.jsonl").open("a") as file:
        file.write('{"name": "b", "sta')
    again = Ledger(tmp_path)
    assert set(again.entries) == {"a"}
    again.write({"name": "c", "status": "done"})
    assert set(Ledger(tmp_path).entries) == {"a", "c"}


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
def test_a_ledger_on_a_full_disk_says_so(tmp_path):
    (tmp_path / "ledger.jsonl").symlink_to("/dev/full")
    ledger = Ledger.__new__(Ledger)
    ledger._path, ledger.entries = tmp_path / "ledger.jsonl", {}
    with pytest.raises(UserError) as error:
        ledger.write({"name": "a", "status": "done"})
    assert error.value.code == "output-not-writable"
    assert "No space left" in error.value.message
    assert not ledger.entries


class Cells(HTMLParser):
    """Text of the cells of a page, and its elements."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.texts = set(), []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.add(tag)

    def handle_data(self, data):
        self.texts.append(data)


def test_the_tables_show_any_name_as_it_is_and_are_no_programs(tmp_path):
    names = ["=HYPERLINK(1)", "+1.nrrd", "-2.nrrd", "@x", "<script>alert(1)</script>", 'a"b,\nc', "\u00e4\udcff.nrrd"]
    entries = [entry(name, warnings=["=1+1"], noise_after_hu=-1.5) for name in names] + [entry("bad", "refused")]
    write_summary(tmp_path, entries, 9, "of <b>\udcff")
    with (tmp_path / "summary.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["path"].removeprefix("'") for row in rows[:-2]] == names[:-1]
    assert all(cell[0] not in "=+@" for row in rows for cell in row.values() if cell)
    assert rows[0]["noise_after_hu"] == "-1.5"  # a number stays one
    page = Cells((tmp_path / "summary.html").read_text(encoding="utf-8"))
    assert "script" not in page.elements
    assert "of <b>?" in page.texts
    assert "<script>alert(1)</script>" in page.texts
    assert "7 of 9 studies done, 1 refused, 1 left" in page.texts
    assert [page.texts[page.texts.index(name) - 1] for name in ("done", "refused", "done with warnings")] == list("717")
    assert page.texts.index("bad") < page.texts.index("@x")  # what needs a person comes first


def test_a_terminal_is_given_the_first_reasons_and_how_many_there_are():
    entries = [entry(f"{k}.nrrd", "refused") for k in range(SHOWN + 20)] + [entry("mr", "left out"), entry("ct")]
    lines = reasons(entries).splitlines()
    assert lines[0] == "0.nrrd: not-ct: It is none. Give one."
    assert lines[-1] == f"... {SHOWN + 20} in all: {SHOWN + 20} not-ct"
    assert len(lines) == SHOWN + 1
    assert totals(entries, SHOWN + 21) == (
        f"1 of {SHOWN + 21} studies done, {SHOWN + 20} refused, 1 series left out (no CT)"
    )


@pytest.mark.parametrize(
    "text",
    ["strenght: 1", "- a", "strength: 2", "strength: high", "format: png", "threads: 0", "a: [", "threads: yes",
     "engine: warp"],
)  # fmt: skip
def test_a_wrong_recipe_is_refused(tmp_path, text):
    pytest.importorskip("yaml")
    (tmp_path / "denoise.yaml").write_text(text)
    with pytest.raises(UserError) as error:
        read_recipe(tmp_path / "denoise.yaml")
    assert error.value.code == "bad-recipe"


def test_a_recipe_sets_what_it_names(tmp_path):
    pytest.importorskip("yaml")
    (tmp_path / "denoise.yaml").write_text("strength: 0.7\nformat: .nii.gz\n")
    assert read_recipe(tmp_path / "denoise.yaml") == Recipe(strength=0.7, format=".nii.gz")
