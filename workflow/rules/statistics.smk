"""Numbers: statistics in boxes, smooth models, and which set is the most uniform."""


rule measure_flat:
    """Mean, scatter and S/N of the debayered master in boxes, per channel: noise and structure apart."""
    input:
        flat="<results>/{set}/flat.fits",
        uncert="<results>/{set}/flat_uncert.fits",
        noise="<results>/{set}/noise.tsv",
        inspected="<results>/{set}/inspected.tsv",
    output:
        stats="<results>/{set}/stats.tsv",
    log:
        "<logs>/{set}/stats.log",
    params:
        options={key: config[key] for key in ("regions", "combine", "debayer")},
    script:
        "../scripts/measure_flat.py"


rule measure_noise:
    """Gain, read noise, pixel response and S/N from the flats themselves, and how many frames are enough."""
    input:
        frames=frames_of_set,
        inspected="<results>/{set}/inspected.tsv",
        bias_frames=bias_frames_of_set,
        bias_inventory=bias_inventory_of_set,
        bias=bias_of_set,
        flat="<results>/{set}/flat_cfa.fits",
    output:
        noise="<results>/{set}/noise.tsv",
        transfer="<results>/{set}/photon_transfer.tsv",
        depth="<results>/{set}/depth.tsv",
    log:
        "<logs>/{set}/noise.log",
    threads: threads_of_set
    resources:
        memory_mb=memory_of_pairs,
        mem_mb=whole_job(memory_of_pairs),
    params:
        files=labels_of_set,
        bias_files=labels_of_bias,
        options=noise_options,
    script:
        "../scripts/measure_noise.py"


rule measure_uniformity:
    """How the subsets differ at large, per channel: size, direction and significance."""
    input:
        subsets=subsets_of_set,
        differences=differences_of_set,
    output:
        uniformity="<results>/{set}/uniformity.tsv",
    log:
        "<logs>/{set}/uniformity.log",
    params:
        pairs=pairs_of_set,
        subsets=names_of_subsets,
    script:
        "../scripts/measure_uniformity.py"


rule model_flat:
    """Models of what lights are divided by, the one that predicts best with the fewest parameters, what it leaves over."""
    input:
        flat=modelled_flat,
        inspected="<results>/{set}/inspected.tsv",
    output:
        models="<results>/{set}/models.tsv",
        model="<results>/{set}/models/model.fits",
        detail="<results>/{set}/models/detail.fits",
        lensfun="<results>/{set}/models/lensfun.xml",
    log:
        "<logs>/{set}/models.log",
    params:
        options={"models": config["models"]},
    script:
        "../scripts/model_flat.py"


rule compare_sets:
    """A row a set: how much its subsets differ, its S/N, and whether it is the most uniform."""
    input:
        inventories=expand("<results>/{set}/frames.tsv", set=SETS),
        stats=expand("<results>/{set}/stats.tsv", set=SETS),
        uniformity=expand("<results>/{set}/uniformity.tsv", set=SETS),
        noise=expand("<results>/{set}/noise.tsv", set=SETS),
        sources=expand("<results>/{set}/illumination_tests.tsv", set=SETS),
    output:
        sets="<results>/sets.tsv",
    log:
        "<logs>/sets.log",
    params:
        pairs={name: list(PAIRS[name]) for name in SETS},
    script:
        "../scripts/compare_sets.py"
