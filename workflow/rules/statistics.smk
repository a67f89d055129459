"""Numbers: statistics in boxes, smooth models, and which set is the most uniform."""


rule measure_flat:
    """Mean, scatter and S/N of the debayered master in boxes, per channel: noise and structure separately."""
    input:
        flat="<results>/{set}/flat.fits",
        uncert="<results>/{set}/flat_uncert.fits",
        noise="<results>/{set}/noise.tsv",
        inspected="<results>/{set}/inspected.tsv",
    output:
        stats="<results>/{set}/stats.tsv",
    log:
        "<logs>/{set}/stats.log",
    group:
        "numbers"
    params:
        options=PLAN.measuring_boxes,
    script:
        "../scripts/measure_flat.py"


rule measure_noise:
    """Gain, read noise, pixel response and S/N from the flats themselves, and how many frames suffice."""
    input:
        frames=ancient(of_set("frames")),
        inspected="<results>/{set}/inspected.tsv",
        maps="<results>/{set}/maps.fits",
        bias_frames=ancient(of_set("bias_frames")),
        bias_inventory=of_set("bias_inventory"),
        bias=of_set("bias"),
        flat="<results>/{set}/flat_cfa.fits",
    output:
        noise="<results>/{set}/noise.tsv",
        transfer="<results>/{set}/photon_transfer.tsv",
        depth="<results>/{set}/depth.tsv",
        pairs="<results>/{set}/pairs.fits",
    log:
        "<logs>/{set}/noise.log",
    threads: threads_to_combine
    resources:
        memory_mb=memory_to_combine(itemsize=10, a_thread=2),
        mem_mb=whole_job(memory_to_combine(itemsize=10, a_thread=2)),
    params:
        options=of_set("measuring_noise"),
    script:
        "../scripts/measure_noise.py"


rule measure_camera:
    """Whether the camera left its raws alone, and is linear, from its sets: effects found, excluded, or not told."""
    input:
        inspected=PLAN.of_sets("inspected.tsv"),
        pairs=PLAN.of_sets("pairs.fits"),
    output:
        camera="<results>/{set}/camera.tsv",
        linearity="<results>/{set}/linearity.tsv",
    log:
        "<logs>/{set}/camera.log",
    group:
        "numbers"
    params:
        options=of_set("named_among_all"),
    script:
        "../scripts/measure_camera.py"


rule measure_drift:
    """How the light changed while each subset was taken: its second half against its first."""
    input:
        inspected="<results>/{set}/inspected.tsv",
        maps="<results>/{set}/maps.fits",
    output:
        drift="<results>/{set}/drift.tsv",
    log:
        "<logs>/{set}/drift.log",
    group:
        "numbers"
    params:
        options=of_set("drifting"),
    script:
        "../scripts/measure_drift.py"


rule measure_uniformity:
    """How the subsets differ over the whole frame, per channel: size, direction and significance."""
    input:
        subsets=of_set("subsets"),
        differences=of_set("differences"),
    output:
        uniformity="<results>/{set}/uniformity.tsv",
    log:
        "<logs>/{set}/uniformity.log",
    group:
        "numbers"
    params:
        options=of_set("comparing"),
    script:
        "../scripts/measure_uniformity.py"


rule model_flat:
    """Models of what lights are divided by, the one that predicts best with fewest parameters, and its residuals."""
    input:
        flat=of_set("applied_flat"),
        inspected="<results>/{set}/inspected.tsv",
    output:
        models="<results>/{set}/models.tsv",
        model="<results>/{set}/models/model.fits",
        detail="<results>/{set}/models/detail.fits",
        lensfun="<results>/{set}/models/lensfun.xml",
    log:
        "<logs>/{set}/models.log",
    group:
        "numbers"
    params:
        options=config["models"],
    script:
        "../scripts/model_flat.py"


rule compare_flats:
    """Whether old masters still hold: dust, vignetting and pixel response of each against the new one."""
    input:
        flat="<results>/{set}/flat_cfa.fits",
        old=of_set("compare_with"),
    output:
        validity="<results>/{set}/validity.tsv",
        quotients="<results>/{set}/validity.fits",
    log:
        "<logs>/{set}/validity.log",
    group:
        "numbers"
    script:
        "../scripts/compare_flats.py"


rule compare_sets:
    """A row per set: the error of its response, how far sets of one lens agree, its S/N, and which set to use."""
    input:
        inventories=PLAN.of_sets("frames.tsv"),
        stats=PLAN.of_sets("stats.tsv"),
        uniformity=PLAN.of_sets("uniformity.tsv"),
        noise=PLAN.of_sets("noise.tsv"),
        sources=PLAN.of_sets("illumination_tests.tsv"),
        responses=PLAN.of_sets("response_blocks.fits"),
    output:
        sets="<results>/sets.tsv",
    log:
        "<logs>/sets.log",
    params:
        options=PLAN.comparing_sets,
    script:
        "../scripts/compare_sets.py"
