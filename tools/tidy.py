"""Move results that no set or light of the configuration claims out of the results: `make tidy`."""

import argparse
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "workflow/scripts"))

from flatfield.files.errors import FlatfieldError  # noqa: E402
from flatfield.plan import configuration  # noqa: E402
from flatfield.plan.claims import unclaimed_results  # noqa: E402

#: Folder, beside the results, that these are moved to.
ASIDE = "unclaimed"


def main(config):
    """Move them, and say what went where; nothing is removed or replaced.

    Parameters
    ----------
    config : str
        Configuration of the results.
    """
    options = configuration.read_yaml(config)
    results = configuration.results_of(options)
    found = unclaimed_results(options, results)
    for folder in found:
        place = free(results.parent / ASIDE / folder.relative_to(results))
        place.parent.mkdir(parents=True, exist_ok=True)
        folder.rename(place)
        print(f"{folder} -> {place}")
    if not found:
        print(f"All folders of {results} belong to sets and lights of {config}.")


def free(place):
    """A path that is not there yet: with a number behind it, if need be."""
    number, chosen = 2, place
    while chosen.exists():
        chosen, number = place.with_name(f"{place.name}-{number}"), number + 1
    return chosen


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="make tidy", description=__doc__)
    parser.add_argument("--config", default="config.yaml", help="configuration of the results")
    parser.add_argument("--project", default=".", help="folder of the project")
    arguments = vars(parser.parse_args())
    try:
        os.chdir(arguments.pop("project"))
        main(**arguments)
    except (FlatfieldError, OSError) as error:
        sys.exit(f"error: {error}")
