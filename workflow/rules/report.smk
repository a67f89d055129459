"""The report that can be shared, and what is made when asked for by name."""

SET_TABLES = "noise", "camera", "uniformity", "illumination_tests", "models", "drift"


rule draw_conclusions:
    """What the tables show, in sentences: the best set, how good the flats are, warnings with their remedies."""
    input:
        inventories=PLAN.of_sets("frames.tsv"),
        tables=[*PLAN.tables(*SET_TABLES), *PLAN.validity_tables],
        light_tables=of_usable("light_tables"),
        preset_tables=PLAN.preset_tables,
        demo=PLAN.demo_table,
        sets="<results>/sets.tsv",
    output:
        conclusions="<results>/conclusions.yaml",
    log:
        "<logs>/conclusions.log",
    params:
        options={"preset": PLAN.preset_name},
    script:
        "../scripts/draw_conclusions.py"


rule write_report:
    """One self-contained page: conclusions, tables, figures, and how they were made."""
    input:
        template=local(f"{WORKFLOW}/report/report.html.j2"),
        script=local(f"{WORKFLOW}/report/report.js"),
        citation=local(str(WORKFLOW.parent / "CITATION.cff")),
        captions=[local(str(path)) for path in sorted((WORKFLOW / "report").glob("*.rst"))],
        conclusions="<results>/conclusions.yaml",
        summary="<results>/frames.tsv",
        inventories=PLAN.of_sets("frames.tsv"),
        light_inventories=PLAN.light_inventories,
        tables=[*PLAN.tables(*SET_TABLES, "stats", "cross"), *PLAN.validity_tables],
        light_tables=of_usable("light_tables"),
        preset_tables=PLAN.preset_tables,
        sets="<results>/sets.tsv",
        demo=PLAN.demo_table,
        plots=of_usable("plots"),
        preset_plots=of_usable("preset_plots"),
    output:
        report="<results>/report.html",
        provenance="<results>/provenance.yaml",
    log:
        "<logs>/report.log",
    params:
        options=PLAN.reporting(tracking.describe_rules(workflow, WORKFLOW / "rules")),
    script:
        "../scripts/write_report.py"


rule handover:
    """Masters and calibrated lights for the programs that the key `handover` lists, or for all that there are."""
    input:
        of_usable("handed_over"),


rule check:
    """Whether the old masters of `compare_with` still hold: a table and a figure for each set that is given some."""
    input:
        PLAN.validity_tables,
        PLAN.validity_plots,
