"""Flats applied to lights, in linear raw space: the mosaic is divided, then debayered."""


rule apply_flat:
    """Calibrated light: mosaic, debayered planes, a picture, files for other programs, its centre/corner ratios."""
    input:
        frame=frame_of_light,
        flat=mosaic_flat_of_light,
        model=model_of_light,
        noise=noise_of_light,
        bias=bias_of_light,
        dark=dark_of_light,
        dark_inventory=dark_inventory_of_light,
        inventory="<results>/lights/{light}/frames.tsv",
        agreement="<results>/lights/{light}/agreement.tsv",
    output:
        mosaic="<results>/lights/{light}/{frame}.fits",
        planes="<results>/lights/{light}/{frame}_rgb.fits",
        tiff="<results>/lights/{light}/{frame}_rgb.tif",
        picture="<results>/lights/{light}/{frame}.png",
        vignetting="<results>/lights/{light}/vignetting/{frame}.tsv",
    log:
        "<logs>/lights/{light}/{frame}.log",
    benchmark:
        "<benchmarks>/lights/{light}/{frame}.tsv"
    params:
        options=apply_options,
        file=label_of_light,
        overscan=overscan_of_light,
    script:
        "../scripts/apply_flat.py"


rule write_dng:
    """Calibrated light as a mosaic DNG, with the metadata of the original, for raw converters."""
    input:
        mosaic="<results>/lights/{light}/{frame}.fits",
        frame=frame_of_light,
        inventory="<results>/lights/{light}/frames.tsv",
    output:
        dng="<results>/lights/{light}/{frame}.dng",
    log:
        "<logs>/lights/{light}/{frame}_dng.log",
    params:
        file=label_of_light,
    script:
        "../scripts/write_dng.py"


include: "vignetting.smk"
