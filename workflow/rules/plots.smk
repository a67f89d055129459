"""Pictures: rows of panels with shared axes."""


rule plot_subsets:
    """Combined mosaics of the subsets in a row."""
    input:
        subsets=subsets_of_set,
    output:
        plot=report(
            "<results>/{set}/plots/subsets.png",
            caption="../report/subsets.rst",
            category="{set}",
            labels={"figure": "subsets"},
        ),
    log:
        "<logs>/{set}/plots/subsets.log",
    params:
        title=title_of_set,
    script:
        "../scripts/plot_subsets.py"


rule plot_differences:
    """Differences of the subsets in a row, per channel, in percent and in standard errors."""
    input:
        differences=differences_of_set,
    output:
        plot=report(
            "<results>/{set}/plots/differences.png",
            caption="../report/differences.rst",
            category="{set}",
            labels={"figure": "differences"},
        ),
    log:
        "<logs>/{set}/plots/differences.log",
    params:
        title=title_of_set,
    script:
        "../scripts/plot_differences.py"


rule plot_illumination:
    """The light source as each subset saw it, what was solved for, and what is left over."""
    input:
        subsets=subsets_of_set,
        terms="<results>/{set}/illumination.tsv",
        source="<results>/{set}/illumination.fits",
        response="<results>/{set}/response.fits",
        truth=truth_of_set,
    output:
        plot=report(
            "<results>/{set}/plots/illumination.png",
            caption="../report/illumination.rst",
            category="{set}",
            labels={"figure": "illumination"},
        ),
    log:
        "<logs>/{set}/plots/illumination.log",
    params:
        title=title_of_set,
    script:
        "../scripts/plot_illumination.py"


rule plot_noise:
    """Variance against level, and noise of masters against the number of frames."""
    input:
        transfer="<results>/{set}/photon_transfer.tsv",
        depth="<results>/{set}/depth.tsv",
    output:
        plot=report(
            "<results>/{set}/plots/noise.png",
            caption="../report/noise.rst",
            category="{set}",
            labels={"figure": "noise"},
        ),
    log:
        "<logs>/{set}/plots/noise.log",
    params:
        title=title_of_set,
        wanted=config["noise"],
    script:
        "../scripts/plot_noise.py"


rule plot_flat:
    """Channels of the debayered master in a row with profiles."""
    input:
        flat="<results>/{set}/flat.fits",
    output:
        plot=report(
            "<results>/{set}/plots/flat.png",
            caption="../report/flat.rst",
            category="{set}",
            labels={"figure": "flat"},
        ),
    log:
        "<logs>/{set}/plots/flat.log",
    params:
        title=title_of_set,
    script:
        "../scripts/plot_flat.py"


rule plot_models:
    """What the chosen model leaves over, and how well each model predicts blocks that it was not fitted to."""
    input:
        models="<results>/{set}/models.tsv",
        model="<results>/{set}/models/model.fits",
        detail="<results>/{set}/models/detail.fits",
    output:
        plot=report(
            "<results>/{set}/plots/models.png",
            caption="../report/models.rst",
            category="{set}",
            labels={"figure": "models"},
        ),
    log:
        "<logs>/{set}/plots/models.log",
    params:
        title=title_of_set,
    script:
        "../scripts/plot_models.py"


rule plot_light:
    """Channels and colour picture of a light, before and after."""
    input:
        frame=frame_of_light,
        inventory="<results>/lights/{light}/frames.tsv",
        planes="<results>/lights/{light}/{frame}_rgb.fits",
        bias=bias_of_light,
        dark=dark_of_light,
    output:
        plot=report(
            "<results>/lights/{light}/{frame}_channels.png",
            caption="../report/light.rst",
            category="lights",
            labels={"figure": "{light} {frame}"},
        ),
    log:
        "<logs>/lights/{light}/{frame}_channels.log",
    params:
        light=config["apply"]["light"],
        file=label_of_light,
        overscan=overscan_of_light,
    script:
        "../scripts/plot_light.py"


rule plot_interactive:
    """One page with all maps of a set: linked zoom, values under the cursor, profiles."""
    input:
        template=local("workflow/report/interactive.html.j2"),
        code=local("workflow/report/interactive.js"),
        subsets=subsets_of_set,
        differences=differences_of_set,
        flat="<results>/{set}/flat.fits",
        source="<results>/{set}/illumination.fits",
        response="<results>/{set}/response_rgb.fits",
    output:
        page="<results>/{set}/interactive.html",
    log:
        "<logs>/{set}/interactive.log",
    params:
        title=title_of_set,
    script:
        "../scripts/plot_interactive.py"
