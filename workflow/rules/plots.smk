"""Pictures: rows of panels with shared axes."""


rule plot_subsets:
    """Combined mosaics of the subsets in a row."""
    input:
        subsets=of_set("subsets"),
    output:
        plot=report(
            "<results>/{set}/plots/subsets.png",
            caption="../report/subsets.rst",
            category="{set}",
            labels={"figure": "subsets"},
        ),
    log:
        "<logs>/{set}/plots/subsets.log",
    group:
        "pictures"
    params:
        options=of_set("titled"),
    script:
        "../scripts/plot_subsets.py"


rule plot_differences:
    """Differences of the subsets in a row, per channel, in percent and in standard errors."""
    input:
        differences=of_set("differences"),
    output:
        plot=report(
            "<results>/{set}/plots/differences.png",
            caption="../report/differences.rst",
            category="{set}",
            labels={"figure": "differences"},
        ),
    log:
        "<logs>/{set}/plots/differences.log",
    group:
        "pictures"
    params:
        options=of_set("titled"),
    script:
        "../scripts/plot_differences.py"


rule plot_illumination:
    """The light source as each subset saw it, what was found, what remains, and what is not known."""
    input:
        subsets=of_set("subsets"),
        terms="<results>/{set}/illumination.tsv",
        geometry="<results>/{set}/geometry.tsv",
        source="<results>/{set}/illumination.fits",
        response="<results>/{set}/response.fits",
        truth=of_set("truth"),
    output:
        plot=report(
            "<results>/{set}/plots/illumination.png",
            caption="../report/illumination.rst",
            category="{set}",
            labels={"figure": "illumination"},
        ),
    log:
        "<logs>/{set}/plots/illumination.log",
    group:
        "pictures"
    params:
        options=of_set("titled"),
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
    group:
        "pictures"
    params:
        options=of_set("plotting_noise"),
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
    group:
        "pictures"
    params:
        options=of_set("titled"),
    script:
        "../scripts/plot_flat.py"


rule plot_models:
    """Residuals of the chosen model, and how well each model predicts blocks that it was not fitted to."""
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
    group:
        "pictures"
    params:
        options=of_set("titled"),
    script:
        "../scripts/plot_models.py"


rule plot_validity:
    """Old masters over the new one, with the shadows of dust that changed."""
    input:
        validity="<results>/{set}/validity.tsv",
        quotients="<results>/{set}/validity.fits",
    output:
        plot=report(
            "<results>/{set}/plots/validity.png",
            caption="../report/validity.rst",
            category="{set}",
            labels={"figure": "old flats"},
        ),
    log:
        "<logs>/{set}/plots/validity.log",
    group:
        "pictures"
    params:
        options=of_set("titled"),
    script:
        "../scripts/plot_validity.py"


if PLAN.is_linear:

    rule plot_light:
        """Channels and picture of a light, before and after, and its sky against the flat."""
        input:
            frame=of_light("frame", "{frame}"),
            inventory=ancient("<results>/lights/{light}/frames.tsv"),
            mosaic="<results>/lights/{light}/{frame}.fits",
            whole=of_light("whole_flat"),
            source=of_light("light_source"),
            bias=of_light("bias"),
            dark=of_light("dark"),
            dark_inventory=of_light("dark_inventory"),
            linearity=of_light("linearity"),
        output:
            channels_plot=report(
                "<results>/lights/{light}/{frame}_channels.png",
                caption="../report/light.rst",
                category="lights",
                labels={"figure": "{light} {frame}"},
            ),
            diagnosis_plot=report(
                "<results>/lights/{light}/{frame}_diagnosis.png",
                caption="../report/diagnosis.rst",
                category="lights",
                labels={"figure": "{light} {frame}: diagnosis"},
            ),
            comparison="<results>/lights/{light}/{frame}_comparison.png",
        log:
            "<logs>/lights/{light}/{frame}_plots.log",
        wildcard_constraints:
            light=PLAN.linear_lights,
        group:
            "lights"
        params:
            options=of_light("plotting", "{frame}"),
        script:
            "../scripts/plot_light.py"

else:

    rule plot_developed_light:
        """Channels and picture of a light that was developed before the division."""
        input:
            frame=of_light("frame", "{frame}"),
            inventory="<results>/lights/{light}/frames.tsv",
            planes="<results>/lights/{light}/{frame}_rgb.fits",
        output:
            plot=report(
                "<results>/lights/{light}/{frame}_channels.png",
                caption="../report/light.rst",
                category="lights",
                labels={"figure": "{light} {frame}"},
            ),
        log:
            "<logs>/lights/{light}/{frame}_channels.log",
        group:
            "lights"
        params:
            options=of_light("label", "{frame}"),
        script:
            "../scripts/plot_developed_light.py"


rule plot_interactive:
    """One page with all maps of a set: linked zoom, values under the cursor, profiles."""
    input:
        template=local(f"{WORKFLOW}/report/interactive.html.j2"),
        code=local(f"{WORKFLOW}/report/interactive.js"),
        subsets=of_set("subsets"),
        differences=of_set("differences"),
        flat="<results>/{set}/flat.fits",
        source="<results>/{set}/illumination.fits",
        response="<results>/{set}/response_rgb.fits",
    output:
        page="<results>/{set}/interactive.html",
    log:
        "<logs>/{set}/interactive.log",
    group:
        "pictures"
    params:
        options=of_set("titled"),
    script:
        "../scripts/plot_interactive.py"
