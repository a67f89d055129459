"""Model the flat: polynomials, radial functions and a spline, chosen by what they predict; export the vignetting."""

from flatfield.files.fits import cite_file
from flatfield.files.frame_table import read_frames, used_frames
from flatfield.files.job import run
from flatfield.files.tables import write_table
from flatfield.files.writing import write_text
from flatfield.measure.lensfun import describe_vignetting
from flatfield.measure.model_choice import MODEL_COLUMNS, model_flat
from flatfield.raw.mosaic import read_mosaic, write_mosaic


def main(flat, inspected, models, model, detail, lensfun, crop_factor, distance_m):
    """Write the models.

    Parameters
    ----------
    flat : str
        Mosaic to model: ``response.fits`` or ``flat_cfa.fits``.
    inspected : str
        ``inspected.tsv``: camera, lens and settings for the export.
    models : str
        Table to write: one row per model and channel.
    model, detail : str
        Mosaics to write: the model (L-flat, DN), and the flat over it (P-flat: pixel response and dust).
    lensfun : str
        XML file to write.
    crop_factor, distance_m : float
        Keys of the configuration.
    """
    whole = read_mosaic(flat, error=True, mask=True)
    found = model_flat(whole)
    write_table(models, found.rows, MODEL_COLUMNS)
    for mosaic in (found.model, found.detail):
        mosaic.header.update(cite_file("FLAT", flat, "modelled"))
        mosaic.header["MODEL"] = (found.name or f"none: {found.reason}", "of the flat")
    write_mosaic(model, found.model)
    write_mosaic(detail, found.detail, unit="")
    options = {"crop_factor": crop_factor, "distance_m": distance_m}
    used = used_frames(read_frames(inspected))
    write_text(lensfun, describe_vignetting(used, found.radial, whole.shape, options))


if "snakemake" in globals():
    run(main, snakemake)
