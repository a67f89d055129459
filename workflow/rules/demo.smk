"""The demo: raw frames of a simulated camera, and how close the analysis comes to the truth."""


rule simulate_flats:
    """Raw flats of a simulated camera (DNG), and its true response and light source."""
    output:
        frames=demo.flat_files("<resources>/demo", "{demo_set}", config["demo"]["frames"]),
        truth="<resources>/demo/truth/{demo_set}.fits",
    log:
        "<logs>/demo/simulate_flats/{demo_set}.log",
    priority: 200
    params:
        options={"demo": config["demo"]},
    script:
        "../scripts/simulate_flats.py"


rule simulate_aimed_flats:
    """Raw flats (DNG) of one more subset of the best set, with the simulated camera aimed aside."""
    output:
        frames=demo.aimed_files("<resources>/demo", config["demo"]["frames"]),
    log:
        "<logs>/demo/simulate_aimed_flats.log",
    priority: 200
    params:
        options={"demo": config["demo"]},
    script:
        "../scripts/simulate_aimed_flats.py"


rule simulate_lights:
    """Raw lights of the simulated camera (DNG), and the true scenes."""
    output:
        frames=demo.light_files("<resources>/demo"),
        truth="<resources>/demo/truth/lights.fits",
    log:
        "<logs>/demo/simulate_lights.log",
    priority: 200
    params:
        options={"demo": config["demo"]},
    script:
        "../scripts/simulate_lights.py"


rule compare_truth:
    """Recovered against true flats, vignetting and lights of the demo."""
    input:
        flats=[each.path("flat.fits") for each in PLAN.demo_sets],
        masters=[each.path("flat_cfa.fits") for each in PLAN.demo_sets],
        responses=[each.path("response.fits") for each in PLAN.demo_sets],
        noise=[each.path("noise.tsv") for each in PLAN.demo_sets],
        truths=[each.truth for each in PLAN.demo_sets],
        unaimed=[path for each in PLAN.demo_sets for path in each.unaimed],
        lights=PLAN.demo_lights,
        scenes="<resources>/demo/truth/lights.fits" if PLAN.demo_lights else [],
        sets="<results>/sets.tsv",
    output:
        truth="<results>/demo.tsv",
    log:
        "<logs>/demo.log",
    params:
        options=PLAN.comparing_truth,
    script:
        "../scripts/compare_truth.py"
