"""Model the debayered master: a 2-D polynomial and a Gaussian smoothing, with what each leaves over."""

import numpy as np
from flatfield.job import logged_job
from flatfield.modelling import fit_polynomial, smooth_gaussian
from flatfield.products import read_planes, write_planes
from flatfield.regions import residual_percent
from flatfield.tables import write_table


def main(flat, models, polynomial, smooth, options, threads):
    """Write the models and ``models.tsv``.

    Parameters
    ----------
    flat : str
        ``flat.fits``.
    models : str
        Table to write: channel, model, parameters (their number), rms_percent (of flat / model - 1).
    polynomial, smooth : str
        FITS files to write, like ``flat.fits``.
    options : dict
        Section ``models`` of the configuration: degree, sigma (pixels).
    threads : int
    """
    planes, channels, header = read_planes(flat)
    fitted = {
        f"polynomial of degree {options['degree']}": [fit_polynomial(plane, options["degree"]) for plane in planes],
        f"Gaussian of {options['sigma']:g} pixels": [
            smooth_gaussian(plane, options["sigma"], threads) for plane in planes
        ],
    }
    rows = [
        {
            "channel": channel,
            "model": name,
            "parameters": parameters,
            "rms_percent": float(np.sqrt(np.mean(residual_percent(plane, model) ** 2))),
        }
        for name, results in fitted.items()
        for channel, plane, (model, parameters) in zip(channels, planes, results, strict=True)
    ]
    write_table(models, rows, list(rows[0]))
    for path, (name, results) in zip((polynomial, smooth), fitted.items(), strict=True):
        header["MODEL"] = (name, "of the flat")
        write_planes(path, np.stack([model for model, _ in results]), channels, header, "Master Flat")


if "snakemake" in globals():
    with logged_job(snakemake.log[0]):
        main(
            snakemake.input.flat,
            snakemake.output.models,
            snakemake.output.polynomial,
            snakemake.output.smooth,
            snakemake.params.options,
            snakemake.threads,
        )
