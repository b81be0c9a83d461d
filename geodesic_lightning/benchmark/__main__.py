"""Measured comparisons, each as a table and a JSON file under outputs/benchmark/."""

import argparse
import sys
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from geodesic_lightning.benchmark.kept import NAMED
from geodesic_lightning.errors import UserError
from geodesic_lightning.report.terminal import forgiving

TOPICS = {
    "solvers": "solver × problem × score evaluations to 1 % and 0.1 %",
    "estimators": "how the score is looked at: timestep, noise, averaging",
    "scaling": "cost of a sweep at 16 to 256 segments",
    "strength": "one strength on pairs, noise levels, fields, manifolds and dimensions",
    "convergence": "random problems: is what has converged the shortest?",
    "shots": "how far shots stay drawable, by the floor of density",
    "roundtrip": "to the noise level and back by every sampler",
    "passes": "where a run's network passes go, by stage",
    "seconds": "what a run takes besides the imports it stands on",
    "devices": "one path on 1 to 64 devices: an estimate",
    "morphs": "every way to morph, by the same measures, on 24 pairs",
    "ablations": "the default and what one setting makes of it, by the same measures",
}


def main(arguments: list[str] | None = None) -> None:
    """Run what was asked for; rows are written as they come, so that an interrupted run keeps what it has."""
    listed = "\n".join(f"  {name:12} {text}" for name, text in TOPICS.items())
    forgiving()
    parser = argparse.ArgumentParser(
        prog="python -m geodesic_lightning.benchmark",
        description=f"{__doc__}\n\n{listed}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "topic", nargs="?", choices=TOPICS, default="solvers", help="default: solvers"
    )
    parser.add_argument(
        "--only",
        choices=("all", "exact", "embedded"),
        default="all",
        help="solvers: which problems",
    )
    parser.add_argument(
        "--pairs",
        type=int,
        help="pairs of drawn cats, 1 to 10 (default: 2, with --full 10; morphs, ablations: 24; roundtrip, shots, "
        "strength: up to 24)",
    )
    parser.add_argument(
        "--rules",
        nargs="+",
        default=(),
        metavar="RULE",
        help="roundtrip: some of them, as 'multistep 16 karras' (default: all); rows that the JSON file has are kept",
    )
    parser.add_argument(
        "--levels",
        nargs="+",
        type=float,
        default=(0.4, 0.6, 0.8),
        metavar="LEVEL",
        help="roundtrip, strength: noise levels (default: 0.4 0.6 0.8)",
    )
    parser.add_argument(
        "--fields",
        choices=("both", "noise_prediction", "contrast"),
        default="both",
        help="solvers: of the embedded model",
    )
    parser.add_argument(
        "--alpha",
        type=float,
        help="solvers: of the embedded model (default: of the default strength)",
    )
    parser.add_argument(
        "--seeds",
        type=int,
        help="seeds each (default: estimators: 3; convergence: 20, 15 kinds of problem for each)",
    )
    parser.add_argument(
        "--full",
        action="store_true",
        help="solvers: the paper's scheme at three learning rates on all pairs",
    )
    parser.add_argument(
        "--output", type=Path, help="JSON file (default: outputs/benchmark/<topic>.json)"
    )
    parser.add_argument(
        "--ways",
        nargs="+",
        default=(),
        metavar="WAY",
        help="morphs, ablations: some of them; shots: some velocities (default: all)",
    )
    parser.add_argument(
        "--jobs", type=int, default=1, help="morphs, ablations: ways that run side by side"
    )
    parser.add_argument(
        "--sweep",
        type=Path,
        metavar="FOLDER",
        help="morphs: the table of a sweep over a folder of pairs",
    )
    parser.add_argument(
        "--named",
        action="store_true",
        help="morphs, ablations, shots: the six hand-made pairs, to choose on",
    )
    options = parser.parse_args(arguments)
    options.output = options.output or Path("outputs/benchmark") / f"{options.topic}.json"
    try:
        if options.topic in ("morphs", "ablations"):
            run_morphs(options)
        else:
            run(options)
    except UserError as error:
        sys.exit(f"Error: {error}")
    except KeyboardInterrupt:
        sys.exit(f"Interrupted; the rows so far are in {options.output}.")


def run_morphs(options: argparse.Namespace) -> None:
    """A folder of runs, and their table."""
    from geodesic_lightning.benchmark import morphs

    if options.sweep is not None:
        print(morphs.table(morphs.collected(options.sweep)))
        return
    all_pairs = NAMED if options.named else morphs.PAIRS
    pairs = len(all_pairs) if options.pairs is None else options.pairs
    if not 1 <= pairs <= len(all_pairs):
        raise UserError(f"--pairs: got {pairs}, expected 1 to {len(all_pairs)}.")
    folder = options.output.with_suffix("")
    if options.jobs < 1:
        raise UserError(f"--jobs: got {options.jobs}, expected at least 1.")
    ablations = options.topic == "ablations"
    print(
        morphs.run(options.ways, all_pairs[:pairs], folder, jobs=options.jobs, ablations=ablations)
    )
    print(f"\n{folder}")


def run(options: argparse.Namespace) -> None:
    """Collect the topic's rows, writing all so far after each, and print the table."""
    import torch

    from geodesic_lightning.benchmark import (
        convergence,
        devices,
        estimators,
        passes,
        problems,
        roundtrip,
        scaling,
        seconds,
        shots,
        solvers,
        strength,
    )
    from geodesic_lightning.report.files import write_json

    pairs = options.pairs if options.pairs is not None else 10 if options.full else 2
    paired = {"roundtrip": roundtrip, "strength": strength, "shots": shots}
    resumed = paired | {"convergence": convergence}
    most = len(paired[options.topic].PAIRS if options.topic in paired else problems.PAIRS)
    if not 1 <= pairs <= most:
        raise UserError(f"--pairs: got {pairs}, expected 1 to {most}.")
    options.seeds = (
        {"convergence": 20}.get(options.topic, 3) if options.seeds is None else options.seeds
    )
    if options.seeds < 1:
        raise UserError(f"--seeds: got {options.seeds}, expected at least 1.")
    topics = {
        "solvers": solvers,
        "estimators": estimators,
        "scaling": scaling,
        "passes": passes,
        "seconds": seconds,
        "devices": devices,
    } | resumed
    topic = topics[options.topic]
    rows: list = resumed[options.topic].read(options.output) if options.topic in resumed else []
    for row in _rows(options, pairs, rows):
        rows.append(row)
        write_json(
            options.output, {"rows": [asdict(each) for each in rows], "torch": torch.__version__}
        )
        print(f"\r{len(rows)} rows", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    print(topic.table(rows))
    print(f"\n{options.output}")


def _rows(options: argparse.Namespace, pairs: int, known: Iterable) -> Iterable:
    from geodesic_lightning.benchmark import (
        convergence,
        devices,
        estimators,
        passes,
        problems,
        roundtrip,
        scaling,
        seconds,
        shots,
        solvers,
        strength,
    )
    from geodesic_lightning.models.diffusion import embedded

    keys = {row.key for row in known}
    if options.topic == "devices":
        yield from devices.estimate()
    elif options.topic == "passes":
        yield from passes.study()
    elif options.topic == "seconds":
        yield from seconds.study()
    elif options.topic == "estimators":
        yield from estimators.study(embedded(), pairs, options.seeds)
    elif options.topic == "scaling":
        yield from scaling.study(next(problems.cats(embedded())))
    elif options.topic == "roundtrip":
        rules, names = roundtrip.chosen(options.rules), roundtrip.PAIRS[:pairs]
        yield from roundtrip.run(embedded(), names, rules, options.levels, keys)
    elif options.topic == "convergence":
        yield from convergence.run(options.seeds, keys)
    elif options.topic == "shots":
        folder = options.output.with_suffix("")
        if options.named:
            choose = (NAMED, keys, ("continue",), shots.CHOICES)
            yield from shots.run(embedded(), folder, *choose)
        else:
            velocities = options.ways or tuple(shots.LENGTHS)
            if unknown := set(velocities) - set(shots.LENGTHS):
                raise UserError(
                    f"--ways: got {', '.join(sorted(unknown))}, expected some of {', '.join(shots.LENGTHS)}."
                )
            yield from shots.run(embedded(), folder, shots.PAIRS[:pairs], keys, velocities)
    elif options.topic == "strength":
        yield from strength.run(embedded(), strength.PAIRS[:pairs], options.levels, keys)
    else:
        if options.only != "embedded":
            for case in problems.exact():
                yield from solvers.compare(case, solvers.methods(solvers.PAPER_RATES))
        if options.only != "exact":
            rates = solvers.PAPER_RATES if options.full else ()
            fields = tuple(problems.FIELDS) if options.fields == "both" else (options.fields,)
            for case in problems.cats(embedded(), problems.PAIRS[:pairs], fields, options.alpha):
                yield from solvers.compare(case, solvers.methods(rates))


if __name__ == "__main__":
    main()
