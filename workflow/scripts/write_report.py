"""Write the report: one self-contained page with conclusions, tables, figures and how they were made."""

from flatfield.files.frame_table import gather_frames
from flatfield.files.job import run
from flatfield.files.tables import gather_tables, read_table
from flatfield.files.writing import write_text
from flatfield.report.page import Page, describe_run, embed_all


def main(
    template, script, citation, captions, conclusions, inventories, light_inventories, tables, light_tables,
    preset_tables, sets, demo, plots, preset_plots, report, provenance, config, preset, rules,
):  # fmt: skip
    """Write the page, and what repeats it.

    Parameters
    ----------
    template, script, citation, captions, conclusions : str or list of str
        What the page is made of.
    inventories, light_inventories, tables, light_tables, preset_tables : list of str
        ``frames.tsv`` and other tables of the sets, of the lights, and of the preset.
    sets, demo : str, list of str
        ``sets.tsv``, and ``demo.tsv`` if there is one.
    plots, preset_plots : list of str
        Figures.
    report : str
        HTML file to write.
    provenance : str
        YAML file to write: configuration, versions of Python and the packages, digest of the code of each rule.
    config : dict
        The whole configuration.
    preset : dict or None
        Name of the preset and how it treats lights.
    rules : list of dict
        Name, product and digest of the code of each rule.
    """
    page = Page(template, script, citation, captions, conclusions)
    page.add_run(config, preset, rules)
    lights = gather_frames(light_inventories)
    page.add_frames(gather_frames(inventories), lights)
    page.add_sets(read_table(sets), lights)
    page.add_tables(gather_tables(tables), gather_tables(light_tables), gather_tables(preset_tables))
    page.add(demo=[row for path in demo for row in read_table(path)])
    page.add_plots(embed_all([*plots, *preset_plots], report), config, preset)
    write_text(report, page.render())
    write_text(provenance, describe_run(config, rules))


if "snakemake" in globals():
    run(main, snakemake)
