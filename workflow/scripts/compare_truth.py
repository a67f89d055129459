"""Compare what the analysis recovered from the demo with the truth that the demo was simulated from."""

from flatfield.demo.truth import (
    TRUTH_COLUMNS,
    compare_camera,
    compare_flat,
    compare_light,
    compare_unaimed,
    compare_verdict,
)
from flatfield.files.job import run
from flatfield.files.tables import read_table, write_table


def main(flats, masters, responses, noise, truths, unaimed, lights, sets, truth, names, aimed, regions, scenes=None):
    """Write ``demo.tsv``: subject, channel, quantity, recovered, true, error_percent.

    Parameters
    ----------
    flats, masters, responses, noise, truths : list of str
        ``flat.fits``, ``flat_cfa.fits``, ``response.fits``, ``noise.tsv`` and the truth of each of the demo's sets.
    unaimed : list of str
        Combined subsets with the aim of the first, of the set in `aimed`.
    lights : list of str
        Calibrated mosaics of the demo's lights.
    sets : str
        ``sets.tsv``.
    truth : str
        Table to write.
    names : list of str
        Of the sets.
    aimed : dict
        How the light source is separated in the sets that have a subset aimed aside (one), by name.
    regions : dict
        Boxes center and corner.
    scenes : str, optional
        True scenes of the lights.
    """
    rows = []
    files = zip(names, flats, masters, responses, noise, truths, strict=True)
    for name, flat, master, response, camera, true in files:
        rows += compare_camera(name, read_table(camera))
        rows += compare_flat(name, flat, master, response, true, regions)
        if name in aimed:
            rows += compare_unaimed(name, unaimed, master, true, aimed[name])
    for path in lights:
        rows += compare_light(path, scenes, regions)
    write_table(truth, rows + compare_verdict(read_table(sets), names), TRUTH_COLUMNS)


if "snakemake" in globals():
    run(main, snakemake)
