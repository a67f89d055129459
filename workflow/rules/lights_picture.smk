"""Flats applied to lights as the notebook did: a picture of LibRaw's defaults is divided by a linear flat."""


rule apply_flat_to_picture:
    """Picture divided by the flat, per channel (wrong: the picture is gamma-coded), and its centre/corner ratios."""
    input:
        frame=frame_of_light,
        flat=flat_of_light,
        inventory="<results>/lights/{light}/frames.tsv",
    output:
        planes="<results>/lights/{light}/{frame}_rgb.fits",
        picture="<results>/lights/{light}/{frame}.png",
        vignetting="<results>/lights/{light}/vignetting/{frame}.tsv",
    log:
        "<logs>/lights/{light}/{frame}.log",
    params:
        options=apply_options,
        file=label_of_light,
    script:
        "../scripts/apply_flat_to_picture.py"


include: "vignetting.smk"
