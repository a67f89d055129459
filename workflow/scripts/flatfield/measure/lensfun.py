"""The vignetting of a flat as an entry for lensfun, which darktable, RawTherapee and others correct lenses with."""

from dataclasses import dataclass
from xml.etree import ElementTree

#: Name of the mount that camera and lens share; lensfun takes any lens of the same mount for a camera.
MOUNT = "Generic"


@dataclass(frozen=True)
class RadialModel:
    """The vignetting that lensfun can hold.

    Attributes
    ----------
    coefficients : dict or None
        k1, k2, k3 of 1 + k1 r^2 + k2 r^4 + k3 r^6, r = 1 in the corners; None if they do not describe the flat.
    error_percent : float or None
        Rms standard error of its values, percent.
    reason : str
        Why there are none.
    """

    coefficients: dict | None
    error_percent: float | None
    reason: str


def describe_vignetting(frames, radial, shape, options):
    """Make a database with one camera, one lens and its vignetting.

    Parameters
    ----------
    frames : list of FrameRecord
        maker, camera, lens, focal_length_mm, aperture, distance_m are those of the first that knows.
    radial : RadialModel
    shape : tuple of int
        Of the frame; lensfun takes r = 1 at the centre of the pixel in the corner, not at its outer edge.
    options : dict
        crop_factor of the camera, and distance_m where the frames do not record the focus distance.

    Returns
    -------
    str
        XML. Where no radial model describes the flat, or the frames do not record what lensfun needs, there is no entry
        but a comment that says why.
    """
    recorded = {
        name: next((getattr(frame, name) for frame in frames if getattr(frame, name) is not None), None)
        for name in ("maker", "camera", "lens", "focal_length_mm", "aperture", "distance_m")
    }
    needed = {"camera": "camera", "lens": "lens", "focal_length_mm": "focal length", "aperture": "aperture"}
    missing = [words for name, words in needed.items() if recorded[name] is None]
    root = ElementTree.Element("lensdatabase", version="1")
    reasons = [radial.reason] if radial.coefficients is None else []
    reasons += [f"the frames do not record: {', '.join(missing)}"] if missing else []
    if reasons:
        root.append(ElementTree.Comment(f" no entry, as {'; '.join(reasons)} "))
        return _write(root)
    shrunk = sum((length - 1) ** 2 for length in shape) / sum(length**2 for length in shape)
    maker, crop = recorded["maker"] or str(recorded["camera"]).split()[0], f"{options['crop_factor']:g}"
    distance = recorded["distance_m"]
    assumed = "as the frames record" if distance is not None else "assumed: the frames do not record it"
    distance = options["distance_m"] if distance is None else distance
    note = (
        f" vignetting of a flat field, standard error {radial.error_percent:.2g} % rms; distance in m, {assumed}; "
        "crop factor as configured, mount to be adapted "
    )
    root.append(ElementTree.Comment(note))
    camera = ElementTree.SubElement(root, "camera")
    _add(camera, maker=maker, model=recorded["camera"], mount=MOUNT, cropfactor=crop)
    lens = ElementTree.SubElement(root, "lens")
    _add(lens, maker=maker, model=recorded["lens"], mount=MOUNT, cropfactor=crop)
    settings = {
        "focal": recorded["focal_length_mm"],
        "aperture": recorded["aperture"],
        "distance": distance,
    }
    ElementTree.SubElement(
        ElementTree.SubElement(lens, "calibration"),
        "vignetting",
        {"model": "pa"}
        | {name: f"{value:g}" for name, value in settings.items()}
        | {f"k{i}": f"{radial.coefficients[f'k{i}'] * shrunk**i:.9g}" for i in (1, 2, 3)},
    )
    return _write(root)


def _add(parent, **fields):
    for name, text in fields.items():
        ElementTree.SubElement(parent, name).text = text


def _write(root):
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode") + "\n"
