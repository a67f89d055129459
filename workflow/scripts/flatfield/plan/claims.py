"""Results of sets and lights that the configuration no longer names."""

from pathlib import Path

#: Files of which each folder of a set or light has some; other folders are none of ours, and left alone.
MARKS = ("frames.tsv", "inspected.tsv", "flat_cfa.fits", "flat.fits", "stats.tsv", "diagnosis.tsv", "vignetting.tsv")


def unclaimed_results(config, results):
    """Folders of results that no set, light or preset of a configuration claims, and that a run has made.

    Parameters
    ----------
    config : dict
        Validated, or as it is written.
    results : pathlib.Path

    Returns
    -------
    list of pathlib.Path
        Sorted; empty where there are no results.
    """
    preset = config.get("compare")
    claimed = {*config["sets"], "lights", "logs", "benchmarks", *([Path(preset).stem] if preset else [])}
    folders = [(results, claimed), (results / "lights", set(config.get("lights") or {}))]
    return sorted(
        each
        for folder, names in folders
        if folder.is_dir()
        for each in folder.iterdir()
        if each.is_dir() and each.name not in names and _is_ours(each)
    )


def _is_ours(folder):
    """Whether a folder, or one in it (a preset has sets and lights of its own), has files that runs make."""
    return any(path.name in MARKS for pattern in ("*", "*/*", "lights/*/*") for path in folder.glob(pattern))


def is_claimed(path, unclaimed):
    """Whether a file lies in none of some folders."""
    return not any(folder in path.parents for folder in unclaimed)
