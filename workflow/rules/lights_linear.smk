"""Flats applied to lights, in linear raw space: the mosaic is divided, then debayered."""


rule apply_flat:
    """Calibrated light: mosaic, debayered planes, a picture, and its centre/corner ratios."""
    input:
        frame=frame_of_light,
        flat=mosaic_flat_of_light,
        noise=noise_of_light,
        bias=bias_of_light,
        inventory="<results>/lights/{light}/frames.tsv",
    output:
        mosaic="<results>/lights/{light}/{frame}.fits",
        planes="<results>/lights/{light}/{frame}_rgb.fits",
        picture="<results>/lights/{light}/{frame}.png",
        vignetting="<results>/lights/{light}/vignetting/{frame}.tsv",
    log:
        "<logs>/lights/{light}/{frame}.log",
    params:
        options=apply_options,
        file=label_of_light,
        overscan=overscan_of_light,
    script:
        "../scripts/apply_flat.py"


include: "vignetting.smk"
