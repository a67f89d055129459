"""Write a page in which all maps of a set are zoomed, measured and cut together."""

from flatfield.files.job import run
from flatfield.files.writing import write_text
from flatfield.report.interactive import render_page


def main(template, code, subsets, differences, flat, source, response, page, title):
    """Write the page.

    Parameters
    ----------
    template, code : str
        Of the page.
    subsets, differences : list of str
        Combined mosaics, and differences of subsets.
    flat, response : str
        Debayered planes.
    source : str
        The light source.
    page : str
        HTML file to write.
    title : str
        Of the set.
    """
    maps = {"subsets": subsets, "differences": differences, "flat": flat, "source": source, "response": response}
    write_text(page, render_page(template, code, maps, title))


if "snakemake" in globals():
    run(main, snakemake)
