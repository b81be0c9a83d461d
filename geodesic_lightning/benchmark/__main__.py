"""`python -m geodesic_lightning.benchmark`: the solvers side by side, as a table and a JSON file."""

import argparse
import sys
from pathlib import Path

from geodesic_lightning.errors import UserError


def main(arguments: list[str] | None = None) -> None:
    """Run what was asked for; rows are written as they come, so that an interrupted run keeps what it has."""
    parser = argparse.ArgumentParser(prog="python -m geodesic_lightning.benchmark", description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("outputs/benchmark/solvers.json"), help="JSON file (default: %(default)s)")
    parser.add_argument("--only", choices=("all", "exact", "embedded"), default="all", help="which problems (default: all)")
    parser.add_argument("--pairs", type=int, default=2, help="pairs of drawn cats, 1 to 10 (default: %(default)s)")
    parser.add_argument("--full", action="store_true", help="ten pairs, the paper's scheme at three learning rates; an hour or so")
    options = parser.parse_args(arguments)
    try:
        run(options)
    except UserError as error:
        sys.exit(f"Error: {error}")
    except KeyboardInterrupt:
        sys.exit(f"Interrupted; the rows so far are in {options.output}.")


def run(options: argparse.Namespace) -> None:
    """Compare on every problem asked for."""
    import torch

    from geodesic_lightning.artifacts import write_json
    from geodesic_lightning.benchmark import problems, solvers

    if not 1 <= options.pairs <= len(problems.PAIRS):
        raise UserError(f"--pairs: got {options.pairs}, expected 1 to {len(problems.PAIRS)}.")
    if options.output.exists() and options.output.stat().st_size == 0:
        raise UserError(f"--output: {options.output} is an empty file; give another name.")
    rows: list[solvers.Row] = []

    def report(case, methods) -> None:
        rows.extend(solvers.compare(case, methods))
        write_json(options.output, {"rows": solvers.as_dicts(rows), "torch": torch.__version__})
        print(f"{case.name} ({case.field}) done", file=sys.stderr, flush=True)

    if options.only in ("all", "exact"):
        for case in problems.exact():
            report(case, solvers.methods(solvers.PAPER_RATES))
    if options.only in ("all", "embedded"):
        from geodesic_lightning.diffusion import EMBEDDED_ALPHA, embedded

        pairs = problems.PAIRS if options.full else problems.PAIRS[: options.pairs]
        rates = solvers.PAPER_RATES if options.full else ()
        for case in problems.cats(embedded(), EMBEDDED_ALPHA, pairs):
            report(case, solvers.methods(rates))
    print(solvers.table(rows))
    print(f"\n{options.output}")


if __name__ == "__main__":
    main()
