"""From data to tables and figures: train what is not trained yet, measure, draw, write."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from inference_core.evaluation.networks import Denoiser, network_denoiser
from inference_core.evaluation.peers import BM3D_NOTE, tuned_peers
from inference_core.evaluation.phantom import phantom_pair
from inference_core.evaluation.reproduction import table1, table2
from inference_core.evaluation.reproduction.budget import Job, Trained, trained
from inference_core.evaluation.reproduction.figures import write_figure_3, write_figure_4
from inference_core.evaluation.reproduction.methods import PAPER_LOW_DOSE, Method
from inference_core.evaluation.reproduction.request import Request, check, training_pair
from inference_core.evaluation.reproduction.results import Tables, make_folder, plain, write_results
from inference_core.evaluation.reproduction.temporal_data import VARIANTS, make_temporal_data, read_test_cts
from inference_core.evaluation.reproduction.trainings import BUDGET_NOTE, trainings_table
from inference_core.evaluation.run import LOW_DOSE, evaluate
from inference_core.evaluation.sources import from_files

FIGURE_SEED = 11  # of the phantom in figure 3

NOT_RUN = """\
Not run: the paper's length (for DML 77,800 steps of 8 crops of 128 x 128, some 100 hours of one core), the rivals at
full size, any GPU, and the paper's temporal-bone scans, which are not public."""


@dataclass
class Found:
    """Parts of the result, in the order in which they are printed."""

    text: list[str] = field(default_factory=list)
    tables: Tables = field(default_factory=dict)
    trainings: dict[str, tuple[Job, Trained]] = field(default_factory=dict)
    pictures: list[Path] = field(default_factory=list)


def reproduce(request: Request) -> tuple[str, list[Path]]:
    """Do it; what an earlier call with the same ``out`` has trained and made is taken.

    Returns
    -------
    The text that is to be printed (Markdown), and the files written.

    Raises
    ------
    UserError
        Before any work is done for a request that cannot be fulfilled; later what training and reading raise.
    Cancelled
        After Ctrl-C; the same request goes on.
    """
    methods, left_out = check(request)
    make_folder(request.out)
    found = Found()
    if 1 in request.tables:
        _table_1(request, methods, found)
    if 2 in request.tables:
        _table_2(request, [method for method in methods if not method.warm], found)
    found.text += ["## Trainings\n", BUDGET_NOTE.format(minutes=request.minutes) + "\n"]
    found.text.append(trainings_table(found.trainings))
    found.text += [NOT_RUN + "\n", *(f"Not run: {what}.\n" for what in left_out)]
    text = "\n".join(found.text)
    runs = {name: asdict(job) | asdict(done) for name, (job, done) in found.trainings.items()}
    settings = plain({**asdict(request), "runs": runs, "pictures": found.pictures})
    return text, [*write_results(request.out, text, found.tables, settings), *found.pictures]


def _table_1(request: Request, methods: list[Method], found: Found) -> None:
    assert request.low is not None
    assert request.full is not None
    runs = request.out / "runs" / "table1"
    data = (*_data(request.low, request.full), f"split.train=[{','.join(request.train)}]")
    training, denoisers = {}, {}
    for method in methods:
        warm = (f"start_from={request.warm_start}",) if method.warm else ()
        job = Job(method.config, (*method.settings, *warm, *data), request.minutes)
        done = trained(job, runs / method.name, runs / f"{method.name}_probe.json")
        found.trainings[f"table 1, {method.label}"] = job, done
        training[method.label] = done
        denoisers[method.label] = network_denoiser(str(done.model))[1]
    networks = dict(denoisers)
    if request.default is not None:
        name, denoise, _ = network_denoiser(request.default)
        networks[f"model {name}"] = denoise
    tuned_on = training_pair(request.low, request.full, request.train)
    tuning = from_files(request.low, request.full, "").tuning(tuned_on)
    peers, _ = tuned_peers(tuning.low, tuning.reference, filters=True, bm3d=request.bm3d)
    source = from_files(request.low, request.full, request.test)
    results = evaluate(source.pairs(), networks | peers, total=source.count)
    paper = {method.label: method.paper for method in methods} | {LOW_DOSE: PAPER_LOW_DOSE}
    lines = table1.lines_of(results, training, paper)
    found.tables["table 1"] = table1.records(lines)
    slices = len({(row.name, row.slice) for row in results.rows})
    heading = f"## Table 1: {slices} slices of {request.test}, trained on {', '.join(request.train)}\n"
    tuned = f"Filters are tuned for PSNR on {tuning.said}, a training slice.\n"
    found.text += [heading, table1.table(lines), table1.NOTE + "\n", tuned, *[BM3D_NOTE + "\n"] * request.bm3d]
    _figure_3(request.out, networks, found)


def _figure_3(out: Path, denoisers: Mapping[str, Denoiser], found: Found) -> None:
    pair = phantom_pair(FIGURE_SEED, "quarter", slices=1)
    assert pair.reference is not None
    outputs = {label: denoise(pair.low) for label, denoise in denoisers.items()}
    found.pictures.append(out / "figure3.png")
    write_figure_3(pair.low, pair.reference, outputs, found.pictures[-1])


def _table_2(request: Request, methods: list[Method], found: Found) -> None:
    folder, runs = request.data, request.out / "runs" / "table2"
    made = make_temporal_data(folder, request.head)
    noise = ", ".join(f"{name} {hu:g}" for name, hu in made["noise_in_brain_hu"].items())
    found.text.append(f"## Table 2\n\nNoise in the brain of the tested CTs, HU: {noise}.\n")
    for variant in VARIANTS:
        data = _data(folder / variant / "low", folder / variant / "full")
        denoisers = {}
        for method in methods:
            config = method.temporal_config or method.config
            job = Job(config, (*method.settings, *data), request.minutes)
            done = trained(job, runs / variant / method.name, runs / f"{method.name}_probe.json")
            found.trainings[f"table 2 {variant}, {method.label}"] = job, done
            denoisers[method.label] = network_denoiser(str(done.model))[1]
        if request.default is not None:
            name, denoise, _ = network_denoiser(request.default)
            denoisers[f"model {name}"] = denoise
        for ct in read_test_cts(folder, variant):
            lines, outputs = table2.measured(ct, denoisers)
            title = f"{ct.name}, {'with' if variant == 'shifted' else 'without'} a shift of the CT numbers"
            found.tables[f"table 2, {title}"] = table2.records(lines)
            found.text += [f"### {title}\n", table2.table(lines)]
            if ct.name == "phantom":
                found.pictures.append(request.out / f"figure4_{variant}.png")
                write_figure_4(ct, outputs, found.pictures[-1])
    found.text += ["### The paper's table 2\n", table2.paper_table(), table2.NOTE + "\n"]


def _data(low: Path, full: Path) -> tuple[str, str]:
    return f"low_dose=[{low.resolve()}]", f"full_dose=[{full.resolve()}]"
