"""Numbers: statistics in boxes, smooth models, and which set is the most uniform."""


rule measure_flat:
    """Mean, scatter and S/N of the debayered master in boxes, per channel."""
    input:
        flat="<results>/{set}/flat.fits",
    output:
        stats="<results>/{set}/stats.tsv",
    log:
        "<logs>/{set}/stats.log",
    params:
        regions=config["regions"],
    script:
        "../scripts/measure_flat.py"


rule model_flat:
    """A polynomial and a smoothed version of the debayered master, and what each leaves over."""
    input:
        flat="<results>/{set}/flat.fits",
    output:
        models="<results>/{set}/models.tsv",
        polynomial="<results>/{set}/models/polynomial.fits",
        smooth="<results>/{set}/models/smooth.fits",
    log:
        "<logs>/{set}/models.log",
    params:
        options=config["models"],
    script:
        "../scripts/model_flat.py"


rule compare_sets:
    """A row a set: how much its subsets differ, its S/N, and whether it is the most uniform."""
    input:
        inventories=expand("<results>/{set}/frames.tsv", set=SETS),
        stats=expand("<results>/{set}/stats.tsv", set=SETS),
        differences=[f"<results>/{name}/differences/{pair}.fits" for name in SETS for pair in PAIRS[name]],
    output:
        sets="<results>/sets.tsv",
    log:
        "<logs>/sets.log",
    params:
        pairs={name: list(PAIRS[name]) for name in SETS},
    script:
        "../scripts/compare_sets.py"
