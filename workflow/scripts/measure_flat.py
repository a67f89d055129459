"""Measure the debayered master in boxes, and tell noise from structure."""

from flatfield.raw.cfa import ColorFilterArray
from flatfield.combine.methods import scatter_of_master
from flatfield.combine.demosaicing import noise_of_interpolation
from flatfield.files.job import logged_job
from flatfield.files.fits import read_planes
from flatfield.measure.boxes import locate_box, measure_boxes, separate_causes
from flatfield.files.tables import number_of, read_table, write_table


def main(flat, uncert, noise, inspected, stats, options):
    """Write ``stats.tsv``.

    Parameters
    ----------
    flat, uncert : str
        ``flat.fits`` and ``flat_uncert.fits``.
    noise : str
        ``noise.tsv``.
    inspected : str
        ``inspected.tsv`` of the set.
    stats : str
        Table to write.
    options : dict
        Sections regions, combine and debayer of the configuration.
    """
    planes, channels, header = read_planes(flat)
    errors = read_planes(uncert)[0]
    cameras = {row["channel"]: row for row in read_table(noise)}
    rows = measure_boxes(planes, channels, options["regions"])
    share = dict.fromkeys(channels)
    if options["debayer"]["algorithm"] in ("bilinear", "LINEAR"):
        cfa = ColorFilterArray.from_name(next(row["cfa"] for row in read_table(inspected) if row["used"] == "yes"))
        share = dict(zip(channels, noise_of_interpolation(cfa), strict=True))
    efficiency = scatter_of_master(options["combine"], header["NCOMBINE"]) ** 2
    for row in rows:
        where = locate_box(row["region"], options["regions"][row["region"]], planes.shape[1:])
        channel = row["channel"]
        variance = frame_variance(cameras[channel], row["mean"])
        variance = variance and share[channel] and variance * share[channel] * efficiency
        row.update(separate_causes(row, errors[channels.index(channel)][where], variance))
    write_table(stats, rows, list(rows[0]))


def frame_variance(camera, level):
    """Variance of a recorded pixel of one frame at a level, DN^2: photon noise, and read noise where it is known."""
    gain, read_noise = number_of(camera["gain_e_per_dn"]), number_of(camera["read_noise_e"])
    if gain is None or level <= 0:
        return None
    return level / gain + ((read_noise or 0) / gain) ** 2


if "snakemake" in globals():
    with logged_job(snakemake.log[0]):
        main(
            snakemake.input.flat,
            snakemake.input.uncert,
            snakemake.input.noise,
            snakemake.input.inspected,
            snakemake.output.stats,
            snakemake.params.options,
        )
