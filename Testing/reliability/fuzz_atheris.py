"""Coverage-guided fuzzing of the readers that are Python alone: libFuzzer looks for inputs that reach new lines.

    pip install atheris==3.0.0        (Python 3.11; 3.1.0 for later ones; not among the test extras)
    python Testing/reliability/fuzz_atheris.py READER --runs N [--corpus FOLDER]

READER is one of: cards, rois, paths, meta-image, legacy-vtk, vtp, recipes, messages, nifti, data-files, ply, stl, obj.
Each input is read or refused with a remedy; anything else ends the run with the input in a file ``crash-...`` in the
current folder. Each reader begins with whole files of its kind; what it learns is kept in FOLDER where one is given.
"""

from __future__ import annotations

import argparse
import atexit
import contextlib
import io
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(REPOSITORY), str(REPOSITORY / "Testing" / "core"), str(Path(__file__).parent)]

SUFFIXES = {
    "cards": ".json", "rois": ".mrk.json", "paths": ".mrk.json", "meta-image": ".mha", "legacy-vtk": ".vtk",
    "vtp": ".vtp", "recipes": ".yaml", "messages": ".txt", "nifti": ".nii", "data-files": ".nhdr", "ply": ".ply",
    "stl": ".stl", "obj": ".obj",
}  # fmt: skip
LONGEST = 65536  # bytes


def reader(name: str, folder: Path) -> Callable[[Path], object]:
    """What reads a file; it raises nothing but a UserError, or what its caller turns into one."""
    from made_studies import write_study

    from inference_core.errors import UserError
    from inference_core.image.reading import read_volume

    def only(read: Callable[[Path], object], *known: type[Exception]) -> Callable[[Path], object]:
        def reads(path: Path) -> object:
            try:
                return read(path)
            except known as error:  # that its caller turns into one
                raise UserError("known", str(error) or "It is damaged.", "Save it again.") from error

        return reads

    if name == "cards":
        from inference_core.models.card import read_card

        return read_card
    if name == "rois":
        from inference_core.measurement.roi_files import read_rois

        write_study(folder / "ct.nrrd", 1)
        volume = read_volume(folder / "ct.nrrd")
        return lambda path: read_rois(path, volume)
    if name == "paths":
        from inference_core.simulation.colon.path.path_files import read_path

        return read_path
    if name == "meta-image":
        from inference_core.image.meta_image import check_meta_image

        return only(check_meta_image, RuntimeError)
    if name in ("legacy-vtk", "vtp"):
        from inference_core.simulation.colon.mesh import vtk_headers

        return only(vtk_headers.check_legacy_vtk if name == "legacy-vtk" else vtk_headers.check_vtp_counts, ValueError)
    if name == "recipes":
        from inference_core.batch.recipe import read_recipe

        return read_recipe
    if name == "nifti":
        from inference_core.image.reading import nifti_is_whole

        return nifti_is_whole
    if name == "data-files":
        from inference_core.image.data_files import check_data_files

        return check_data_files
    if name == "messages":
        from inference_core import worker

        def asked(path: Path) -> object:
            said: list[dict[str, object]] = []
            line = path.read_bytes().decode("utf-8", "replace").split("\n")[0]
            worker.answer(line, lambda kind, **fields: said.append(fields), lambda: True)
            if said[-1].get("code") == "internal":
                raise AssertionError(said[-1])
            if said[-1].get("code"):
                raise UserError(str(said[-1]["code"]), str(said[-1]["message"]), str(said[-1]["remedy"]))
            return said

        return asked
    from inference_core.simulation.colon.mesh.surface_files import read_surface

    return read_surface


def write_corpus(name: str, corpus: Path) -> None:
    """Whole files of the kind, to begin with."""
    from fuzz_readers import readers

    kinds = {
        "cards": "model cards", "rois": "ROI files", "paths": "paths", "meta-image": "volumes", "nifti": "volumes",
        "legacy-vtk": "surfaces", "vtp": "surfaces", "recipes": "recipes", "messages": "messages, damaged",
        "data-files": "", "ply": "surfaces", "stl": "surfaces", "obj": "surfaces",
    }  # fmt: skip
    if name == "data-files":
        (corpus / "one.nhdr").write_text("NRRD0004\ntype: short\ndata file: a.raw\n\n")
        (corpus / "list.nhdr").write_text("NRRD0004\ntype: short\ndata file: LIST\na.raw\nb.raw\n")
        return
    with tempfile.TemporaryDirectory() as text:
        for whole in readers(Path(text))[kinds[name]].wholes:
            wanted = name == "messages" or whole.name.endswith(SUFFIXES[name]) or name == "cards"
            if wanted and whole.stat().st_size <= LONGEST:
                content = whole.read_bytes().replace(text.encode(), b"/nowhere")  # no message finds its input
                (corpus / whole.name).write_bytes(content)
            elif wanted:
                (corpus / whole.name).write_bytes(whole.read_bytes()[:4096])  # a header


def main() -> None:
    """Fuzz one reader."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("reader", choices=SUFFIXES)
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--corpus", type=Path)
    given = parser.parse_args()
    try:
        import atheris
    except ImportError:
        sys.exit("error: atheris is not installed.\nInstall it: pip install atheris==3.0.0")
    memory = "/dev/shm" if os.path.isdir("/dev/shm") else None
    folder = Path(tempfile.mkdtemp(dir=memory))
    corpus = given.corpus or folder / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    with atheris.instrument_imports(include=["inference_core"]):
        read = reader(given.reader, folder)
    write_corpus(given.reader, corpus)
    from inference_core.errors import UserError

    path = folder / f"input{SUFFIXES[given.reader]}"
    counts = {"read": 0, "refused": 0}
    here = os.getcwd()

    def one(data: bytes) -> None:
        path.write_bytes(data)
        os.chdir(folder)  # where a name without a folder leads
        try:
            with contextlib.redirect_stderr(io.StringIO()):
                read(path)
            counts["read"] += 1
        except UserError as error:
            if not error.message or not (error.remedy or error.code == "cancelled"):
                raise RuntimeError(f"{error.code} has no remedy") from error
            counts["refused"] += 1
        finally:
            os.chdir(here)
        if sum(counts.values()) in (given.runs // 2, given.runs):
            print(f"{given.reader}: {counts}", flush=True)

    options = [
        f"-runs={given.runs}",
        f"-max_len={LONGEST}",
        "-timeout=30",
        "-rss_limit_mb=4096",
        "-print_final_stats=1",
    ]
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    atheris.Setup([sys.argv[0], *options, str(corpus)], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
