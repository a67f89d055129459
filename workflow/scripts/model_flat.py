"""Model the flat: polynomials, radial functions and a spline, chosen by what they predict; export the vignetting."""

import numpy as np
from flatfield.measure import lensfun, models
from flatfield.raw.cfa import ColorFilterArray
from flatfield.files.job import logged_job
from flatfield.files.fits import cite_file, describe_mosaic, image_hdu, read_image, write_fits
from flatfield.files.writing import write_text
from flatfield.measure.blocks import block_side
from flatfield.files.tables import NOT_DETERMINED, write_table

COLUMNS = [
    *["channel", "model", "parameters", "rms_percent", "cv_rms_percent", "noise_percent", "chosen", "coefficients"],
]
#: Models are fitted to about so many blocks side by side.
BLOCKS_ACROSS = 48


def main(flat, inspected, products, options):
    """Write the models.

    Parameters
    ----------
    flat : str
        Mosaic to model: ``response.fits`` or ``flat_cfa.fits``.
    inspected : list of dict
        Rows of ``inspected.tsv``: camera, lens and settings for the export.
    products : dict
        Files to write: models (table), model (mosaic, DN, with ``UNCERT``), detail (mosaic, the flat over the model:
        pixel response and dust), lensfun (XML).
    options : dict
        Section ``models`` of the configuration.
    """
    value, header = read_image(flat)
    mask, cfa = read_image(flat, "MASK")[0] > 0, ColorFilterArray.from_name(header.get("BAYERPAT", "MONO"))
    blocks = models.average_blocks(value, mask, cfa, block_side(value.shape, cfa, BLOCKS_ACROSS))
    fits, predictions = models.fit_models(blocks)
    chosen = models.choose_model(blocks, fits, predictions)
    write_table(products["models"], describe_models(blocks, fits, predictions, chosen, cfa.channels), COLUMNS)
    model, parts = (
        value,
        np.full(len(cfa.channels), np.nan, np.float32),
    )  # where nothing can be modelled: the flat itself
    if chosen:
        model, parts = models.draw_mosaic(fits[chosen], cfa, value.shape), relative_error(blocks, fits[chosen])
    header.update(cite_file("FLAT", flat, "modelled"))
    header["MODEL"] = (chosen or "none: too few blocks are known", "of the flat")
    parts = parts[cfa.channel_map((cfa.period, cfa.period))]
    error = model * np.tile(parts, [-(-n // cfa.period) for n in value.shape])[: value.shape[0], : value.shape[1]]
    layout = describe_mosaic(cfa.name)
    for name in ("CHECKSUM", "DATASUM"):
        header.remove(name, ignore_missing=True)
    write_fits(
        products["model"], [image_hdu(model, header), image_hdu(error, layout, "UNCERT", utype="StdDevUncertainty")]
    )
    ratio = np.divide(value, model, out=np.full(value.shape, np.nan, np.float32), where=model > 0)
    uncert = np.divide(read_image(flat, "UNCERT")[0], model, out=np.full_like(ratio, np.nan), where=model > 0)
    hdus = [image_hdu(ratio, header, unit=""), image_hdu(uncert, layout, "UNCERT", "", utype="StdDevUncertainty")]
    write_fits(products["detail"], [*hdus, image_hdu(read_image(flat, "MASK")[0].astype(np.uint8), layout, "MASK")])
    radial = fits.get(models.LENSFUN)
    coefficients = radial and radial[len(cfa.channels) // 2].coefficients
    write_text(products["lensfun"], lensfun.describe_vignetting(inspected, coefficients, value.shape, options))


def relative_error(blocks, fits):
    """Rms standard error of the values of a model for each channel, relative: noise sqrt(parameters / blocks)."""
    relative = np.sqrt(np.mean((blocks.errors / np.maximum(blocks.values, 1e-30))[:, blocks.known] ** 2, axis=1))
    return relative.astype(np.float32) * np.array(
        [(each.parameters / blocks.known.sum()) ** 0.5 for each in fits], np.float32
    )


def describe_models(blocks, fits, predictions, chosen, channels):
    """Rows of ``models.tsv``."""
    known, rows = blocks.known, []
    for index, channel in enumerate(channels):
        values = blocks.values[index][known]
        noise = 100 * float(np.sqrt(np.mean((blocks.errors[index][known] / values) ** 2))) if known.any() else None
        for name in models.MODELS:
            row = {
                "channel": channel,
                "model": name,
                "noise_percent": NOT_DETERMINED if noise is None else noise,
                "chosen": name == chosen,
            }
            row |= dict.fromkeys(("parameters", "rms_percent", "cv_rms_percent"), NOT_DETERMINED)
            row["coefficients"] = f"too few blocks: {known.sum()}"
            if name in fits:
                fit = fits[name][index]
                rest = {
                    "rms_percent": fit.evaluate(blocks.x[index], blocks.y[index])[known],
                    "cv_rms_percent": predictions[name][index][known],
                }
                row |= {key: 100 * float(np.sqrt(np.mean((each / values - 1) ** 2))) for key, each in rest.items()}
                row["parameters"] = round(fit.parameters, 1)
                row["coefficients"] = " ".join(f"{key}={value:.9g}" for key, value in fit.coefficients.items())
            rows.append(row)
    return rows


if "snakemake" in globals():
    from flatfield.files.frame_table import used_frames
    from flatfield.files.tables import read_table

    with logged_job(snakemake.log[0]):
        main(
            snakemake.input.flat,
            used_frames(read_table(snakemake.input.inspected)),
            dict(snakemake.output.items()),
            snakemake.params.options["models"],
        )
