"""The report that can be shared."""


rule draw_conclusions:
    """What the tables say, in sentences: the best set, how good the flats are, warnings with their remedies."""
    input:
        inventories=expand("<results>/{set}/frames.tsv", set=SETS),
        noise=expand("<results>/{set}/noise.tsv", set=SETS),
        uniformity=expand("<results>/{set}/uniformity.tsv", set=SETS),
        illumination=expand("<results>/{set}/illumination_tests.tsv", set=SETS),
        models=expand("<results>/{set}/models.tsv", set=SETS),
        drift=expand("<results>/{set}/drift.tsv", set=SETS),
        sets="<results>/sets.tsv",
        vignetting=expand("<results>/lights/{light}/vignetting.tsv", light=RAW_LIGHTS),
        diagnosis=expand("<results>/lights/{light}/diagnosis.tsv", light=LIGHTS),
        agreement=agreements(),
        preset=preset_tables(),
        demo=demo_tables(),
    output:
        conclusions="<results>/conclusions.yaml",
    log:
        "<logs>/conclusions.log",
    params:
        preset=preset and {"name": PRESET},
    script:
        "../scripts/draw_conclusions.py"


rule write_report:
    """One self-contained page: conclusions, tables, figures, and how they were made."""
    input:
        template=local("workflow/report/report.html.j2"),
        script=local("workflow/report/report.js"),
        citation=local("CITATION.cff"),
        captions=[
            local(f"workflow/report/{figure}.rst")
            for figure in (
                "subsets",
                "differences",
                "flat",
                "noise",
                "illumination",
                "models",
                "light",
                "vignetting",
                "diagnosis",
                "preset",
                "preset_picture",
                "demo",
            )
        ],
        conclusions="<results>/conclusions.yaml",
        summary="<results>/frames.tsv",
        inventories=expand("<results>/{set}/frames.tsv", set=SETS),
        stats=expand("<results>/{set}/stats.tsv", set=SETS),
        noise=expand("<results>/{set}/noise.tsv", set=SETS),
        illumination=expand("<results>/{set}/illumination_tests.tsv", set=SETS),
        drift=expand("<results>/{set}/drift.tsv", set=SETS),
        cross=expand("<results>/{set}/cross.tsv", set=SETS),
        uniformity=expand("<results>/{set}/uniformity.tsv", set=SETS),
        models=expand("<results>/{set}/models.tsv", set=SETS),
        lights=expand("<results>/lights/{light}/frames.tsv", light=RAW_LIGHTS),
        diagnosis=expand("<results>/lights/{light}/diagnosis.tsv", light=LIGHTS),
        agreement=agreements(),
        sets="<results>/sets.tsv",
        plots=report_plots(),
        vignetting=expand("<results>/lights/{light}/vignetting.tsv", light=RAW_LIGHTS),
        preset=preset_tables(),
        preset_plots=preset_plots(),
        demo=demo_tables(),
    output:
        report="<results>/report.html",
        provenance="<results>/provenance.yaml",
    log:
        "<logs>/report.log",
    params:
        options=report_options(),
    script:
        "../scripts/write_report.py"
