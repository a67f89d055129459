"""The colour pattern of a FITS frame, from the cards that drivers write for it."""

from flatfield.files.errors import FrameError
from flatfield.raw.cfa import ColorFilterArray

#: Cards that may hold the letters of the pattern.
PATTERN_CARDS = ("BAYERPAT", "COLORTYP", "CFAPAT", "CFA-PAT", "BAYER")
#: What they hold where there are no filters, or where they only say that there are some.
NO_PATTERN = {"", "NONE", "NO", "MONO", "MONOCHROME", "GRAY", "GREY", "FALSE", "F", "0", "N/A", "NULL", "UNKNOWN", "L"}
FLAGS = {"TRUE", "T", "YES", "1", "COLOR", "COLOUR", "RGB", "OSC", "BAYER"}


def pattern_of_header(header, path):
    """Colour filter array that a header gives, from the first row as it is displayed (the top one).

    Returns
    -------
    cfa : ColorFilterArray
    remark : str
        Where it is not from BAYERPAT.

    Raises
    ------
    FrameError
        If it says that there is a pattern, and not which, or one that no sensor has.
    """
    texts = {name: str(header[name]).strip().upper() for name in PATTERN_CARDS if name in header}
    for name, text in texts.items():
        letters = text.replace("BAYER", "").strip("_- ")
        if letters in NO_PATTERN | FLAGS or text in NO_PATTERN | FLAGS:
            continue
        try:
            found = ColorFilterArray.from_name(letters)
        except ValueError as error:
            raise FrameError(
                f"{path}: {name} {error}; set the key `cfa` of the set to the pattern, or to MONO"
            ) from error
        return found, "" if name == "BAYERPAT" else f"colour pattern {letters} of the card {name}"
    flag = next((name for name, text in texts.items() if text in FLAGS), None)
    if flag:
        raise FrameError(
            f"{path}: {flag} is {texts[flag]}, so that there is a colour pattern, but no card has its letters; "
            "set the key `cfa` of the set, such as `cfa: RGGB`"
        )
    return ColorFilterArray.from_name("MONO"), ""
