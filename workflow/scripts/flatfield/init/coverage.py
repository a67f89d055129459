"""Which lights have flats, bias and darks: a row per night, filter and angle."""

from datetime import timedelta
from pathlib import Path

from flatfield.init.matching import seconds_apart

DAY_S = 86400
NIGHT_BEGINS = timedelta(hours=12)  # frames before noon belong to the night that began the day before


def coverage(proposal):
    """What each night's lights have.

    Parameters
    ----------
    proposal : flatfield.init.proposal.Proposal

    Returns
    -------
    list of dict
        Rows in order of time; texts: ``night``, ``filter``, ``angle``, ``lights``, ``flats``, ``bias``, ``darks``.
    """
    sets, rows = {each.name: each for each in proposal.sets}, {}
    for light in sorted(proposal.lights, key=lambda light: light.first.metadata.time or ""):
        moment = light.first.moment
        night = f"{(moment - NIGHT_BEGINS).day} {moment - NIGHT_BEGINS:%b %Y}" if moment else "unknown"
        angle = light.first.metadata.rotator
        flats = _flats(light, sets, proposal.unused)
        shown = light.first.metadata.filter or "", "" if angle is None else f"{angle:.0f}°"
        key = night, *shown, flats, _frames(light.bias), _frames(light.dark)
        rows[key] = rows.get(key, 0) + len(light.entries)
    names = ("night", "filter", "angle", "flats", "bias", "darks")
    return [dict(zip(names, key, strict=True)) | {"lights": str(count)} for key, count in rows.items()]


def _flats(light, sets, unused):
    """Flats of a light: their name, and how far away they are in time."""
    if not light.flat:
        return f"none: {unused[light.first.path].removeprefix('light without flats: ').partition('; ')[0]}"
    apart = min(seconds_apart(light.first, entry) for entry in sets[light.flat].entries)
    if apart <= DAY_S or apart == float("inf"):
        return light.flat
    days = round(apart / DAY_S)
    return f"no flats; nearest {days} day{'s' * (days != 1)} away ({light.flat})"


def _frames(entries):
    """How many offset or dark frames there are, and in which folder."""
    if not entries:
        return ""
    master = entries[0].metadata.combined
    return f"{'master' if master else len(entries)}, {Path(entries[0].folder).name or '.'}"
