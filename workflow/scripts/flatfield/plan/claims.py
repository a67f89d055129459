"""Results of sets and lights that the configuration no longer names."""

from pathlib import Path


def unclaimed_results(config, results):
    """Folders of results that no set, light or preset of a configuration claims.

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
        if each.is_dir() and each.name not in names
    )


def is_claimed(path, unclaimed):
    """Whether a file lies in none of some folders."""
    return not any(folder in path.parents for folder in unclaimed)
