"""Layouts of files as drivers and programs write them: read as what they are, or refused as what they are."""

import gzip
import zlib

import numpy as np
import pytest
import tifffile
from astropy.io import fits
from test_metadata import acceptance, inspected, write_image

import inspect_frames
from flatfield.files.errors import FrameError, InventoryError
from flatfield.files.frame_table import read_frames
from flatfield.measure.layout import find_image, judge_layout
from flatfield.raw.cfa import ColorFilterArray
from flatfield.raw.decode import Reading, read_frame
from flatfield.raw.pattern_cards import pattern_of_header

SHAPE = (96, 144)
LEVELS = {"R": 7000.0, "G": 15000.0, "B": 9000.0}
BAYER = ("RGGB", "BGGR", "GRBG", "GBRG")
XTRANS = "GGRGGBGGBGGRBRGRBGGGBGGRGGRGGBRBGBRG"


def mosaic_of(letters, rng, shape=SHAPE, levels=LEVELS, zero=500):
    """A vignetted flat whose colours repeat as the letters say; M is a sensor without filters."""
    period = round(len(letters) ** 0.5)
    y, x = np.indices(shape)
    tile = np.array([levels.get(letter, 12000.0) for letter in letters]).reshape(period, period)
    r2 = ((y / shape[0] - 0.5) ** 2 + (x / shape[1] - 0.5) ** 2) * 2
    return (rng.poisson(tile[y % period, x % period] / (1 + 0.5 * r2)) + zero).astype(np.uint16)


# FITS


def test_a_third_axis_of_length_one(tmp_path):
    data = mosaic_of("M", np.random.default_rng(1))
    path = write_image(tmp_path / "a.fits", data[None], EXPTIME=1.0)
    np.testing.assert_array_equal(read_frame(path).mosaic, data)
    path = write_image(tmp_path / "b.fits", np.stack([data] * 3))
    with pytest.raises(FrameError, match="debayered"):
        read_frame(path)


def write_parts(path, parts, sections=(), **cards):
    """Several images below a primary header that has the cards."""
    hdus = [fits.PrimaryHDU(header=fits.Header({"INSTRUME": "cam", "EXPTIME": 5.0, "FILTER": "V"} | cards))]
    for number, part in enumerate(parts):
        hdus.append(fits.ImageHDU(part, name=f"IM{number + 1}"))
        hdus[-1].header.update(sections[number] if sections else {})
    fits.HDUList(hdus).writeto(path)
    return path


def test_an_image_in_an_extension_has_the_cards_of_the_primary_header(tmp_path):
    data = mosaic_of("RGGB", np.random.default_rng(1))
    path = write_parts(
        tmp_path / "a.fits", [data], **{"BAYERPAT": "RGGB", "GAIN": 100, "DATE-OBS": "2023-01-02T06:00:00Z"}
    )
    frame = read_frame(path)
    np.testing.assert_array_equal(frame.mosaic, data)
    assert (frame.cfa.name, frame.metadata.gain, frame.metadata.filter) == ("RGGB", 100, "V")
    assert frame.metadata.time == "2023-01-02T06:00:00"


def test_several_images_are_never_taken_in_part(tmp_path):
    data = mosaic_of("M", np.random.default_rng(1))
    with pytest.raises(FrameError, match=r"holds 2 images \(IM1, IM2\)"):
        read_frame(write_parts(tmp_path / "a.fits", [data[:, :72], data[:, 72:]]))


@pytest.mark.parametrize("turned", [False, True])
def test_amplifiers_are_put_together_by_their_sections(tmp_path, turned):
    """Four amplifiers with overscan of another level each; with `turned`, read out from the corners as many are."""
    data = mosaic_of("M", np.random.default_rng(1), zero=0)
    parts, sections = [], []
    for number, (top, left) in enumerate(((0, 0), (0, 72), (48, 0), (48, 72))):
        part, level = data[top : top + 48, left : left + 72], 1000 + 100 * number
        box = [left + 1, left + 72, top + 1, top + 48]
        if turned and left:
            part, box[:2] = part[:, ::-1], box[1::-1]
        if turned and top:
            part, box[2:] = part[::-1], box[:1:-1]
        stored = np.full((48, 80), level, np.uint16)
        stored[:, :72] = part + level
        parts.append(stored)
        sections.append({"DETSEC": "[{}:{},{}:{}]".format(*box), "DATASEC": "[1:72,1:48]", "BIASSEC": "[73:80,1:48]"})
    path = write_parts(tmp_path / "a.fits", parts, sections)
    frame = read_frame(path, reading=True)
    np.testing.assert_array_equal(frame.mosaic, data)
    assert list(frame.black) == [0] * 4 and "IM1, IM2, IM3, IM4" in frame.remarks[0]
    assert read_frame(path).mosaic.dtype == np.uint16


def test_detectors_with_gaps_are_refused(tmp_path):
    data = mosaic_of("M", np.random.default_rng(1))
    sections = [{"DETSEC": "[1:144,1:96]"}, {"DETSEC": "[201:344,1:96]"}]
    with pytest.raises(FrameError, match="gaps"):
        read_frame(write_parts(tmp_path / "a.fits", [data, data], sections))


def test_masks_and_errors_of_ccddata_are_no_images_of_their_own(tmp_path):
    data = mosaic_of("M", np.random.default_rng(1)).astype(np.float32)
    hdus = [fits.PrimaryHDU(data), fits.ImageHDU(data * 0, name="MASK"), fits.ImageHDU(data, name="UNCERT")]
    fits.HDUList(hdus).writeto(tmp_path / "a.fits")
    np.testing.assert_array_equal(read_frame(tmp_path / "a.fits").mosaic, data)


def test_compressed_files(tmp_path):
    data = mosaic_of("M", np.random.default_rng(1))
    path = write_image(tmp_path / "a.fits", data, GAIN=7)
    (tmp_path / "a.fit.gz").write_bytes(gzip.compress(path.read_bytes()))
    header = fits.Header({"GAIN": 7})
    fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(data, header)]).writeto(tmp_path / "b.fits.fz")
    fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(data, header)]).writeto(tmp_path / "c.fz")
    for name in ("a.fit.gz", "b.fits.fz", "c.fz"):
        frame = read_frame(tmp_path / name)
        np.testing.assert_array_equal(frame.mosaic, data)
        assert frame.metadata.gain == 7


@pytest.mark.parametrize("rows", [96, 95])
@pytest.mark.parametrize("letters", [*BAYER, "M"])
def test_rows_from_the_bottom_are_put_the_right_way_round(tmp_path, letters, rows):
    data = mosaic_of(letters, np.random.default_rng(1), shape=(rows, 144))
    cards = {"BAYERPAT": letters} if letters != "M" else {}
    up = read_frame(write_image(tmp_path / "up.fits", data[::-1], ROWORDER="BOTTOM-UP", **cards))
    down = read_frame(write_image(tmp_path / "down.fits", data, ROWORDER="TOP-DOWN", **cards))
    np.testing.assert_array_equal(up.mosaic, down.mosaic)
    assert up.cfa == down.cfa and up.metadata.row_order == "BOTTOM-UP"
    cut = write_image(tmp_path / "cut.fits", data[::-1], ROWORDER="BOTTOM-UP", TRIMSEC=f"[2:144,4:{rows - 3}]", **cards)
    frame = read_frame(cut)
    np.testing.assert_array_equal(frame.mosaic, data[3 : rows - 3, 1:])
    assert not judge_layout(frame, frame.black).problem


def test_numbers_that_wrapped_around(tmp_path):
    data = mosaic_of("M", np.random.default_rng(1), levels={"M": 40000.0})
    with pytest.raises(FrameError, match="without BZERO"):
        read_frame(write_image(tmp_path / "a.fits", data.view(np.int16)))
    small = (mosaic_of("M", np.random.default_rng(1)).astype(np.int16) - 500).astype(np.int16)
    np.testing.assert_array_equal(read_frame(write_image(tmp_path / "b.fits", small)).mosaic, small)


@pytest.mark.parametrize(
    ("cards", "expected"),
    [
        ({}, "MONO"),
        ({"BAYERPAT": "RGGB"}, "RGGB"),
        ({"BAYERPAT": " bggr "}, "BGGR"),
        ({"COLORTYP": "GRBG"}, "GRBG"),
        ({"BAYERPAT": "TRUE", "COLORTYP": "RGGB"}, "RGGB"),
        ({"BAYERPAT": True, "COLORTYP": "RGGB"}, "RGGB"),
        ({"BAYERPAT": ""}, "MONO"),
        ({"BAYERPAT": "NONE"}, "MONO"),
        ({"BAYERPAT": False}, "MONO"),
        ({"BAYERPAT": XTRANS}, XTRANS),
        ({"BAYERPAT": "TRUE"}, "`cfa`"),
        ({"BAYERPAT": "GBGR"}, "`cfa`"),
        ({"BAYERPAT": "RGXB"}, "`cfa`"),
        ({"BAYERPAT": "CYYM"}, "`cfa`"),
    ],
)
def test_cards_of_the_colour_pattern(cards, expected):
    header = fits.Header(cards)
    if expected == "`cfa`":
        with pytest.raises(FrameError, match="`cfa`"):
            pattern_of_header(header, "a.fits")
    else:
        assert pattern_of_header(header, "a.fits")[0].name == expected


# What the flat proves


@pytest.mark.parametrize("true", BAYER)
@pytest.mark.parametrize("said", BAYER)
def test_greens_show_a_pattern_that_is_off_by_a_row_or_column(tmp_path, true, said):
    """What is off by a row and a column has its greens where they should be: not seen."""
    path = write_image(tmp_path / "a.fits", mosaic_of(true, np.random.default_rng(1)), BAYERPAT=said)
    frame = read_frame(path)
    problem = judge_layout(frame, frame.black).problem
    if true == said or true == said[::-1]:
        assert problem == ""
    else:
        assert "off by a row or a column" in problem and true in problem


@pytest.mark.parametrize("true", BAYER)
def test_colours_without_a_card(tmp_path, true):
    paths = [str(write_image(tmp_path / f"{i}.fits", mosaic_of(true, np.random.default_rng(i)))) for i in range(4)]
    with pytest.raises(InventoryError, match=rf"as with Bayer filters.*`cfa`.*{true}"):
        inspected(tmp_path, paths)
    reading = {"overscan": False, "cfa": true, "area": None}
    rows = inspected(tmp_path, paths, reading, cfa=true)
    for letter, channel in (("R", "RED"), ("G", "GREEN"), ("B", "BLUE")):  # the median of the central quarter
        assert rows[0].levels_dn[channel] == pytest.approx(500 + LEVELS[letter] / 1.04, rel=0.02)
    assert not rows[2].doubt


def test_an_asserted_pattern_that_the_flat_contradicts_is_doubted(tmp_path):
    paths = [str(write_image(tmp_path / f"{i}.fits", mosaic_of("RGGB", np.random.default_rng(i)))) for i in range(4)]
    rows = inspected(tmp_path, paths, {"overscan": False, "cfa": "GRBG", "area": None}, cfa="GRBG")
    assert "off by a row or a column" in rows[2].doubt


def test_a_monochrome_sensor_that_is_called_bayer(tmp_path):
    frame = read_frame(write_image(tmp_path / "a.fits", mosaic_of("M", np.random.default_rng(1)), BAYERPAT="RGGB"))
    layout = judge_layout(frame, frame.black)
    assert not layout.problem and "cfa: MONO" in layout.doubts[0]


@pytest.mark.parametrize("letters", ["M", *BAYER, XTRANS])
def test_right_patterns_are_not_doubted(tmp_path, letters):
    cards = {} if letters == "M" else {"BAYERPAT": letters}
    for seed in range(5):
        data = mosaic_of(letters, np.random.default_rng(seed))
        frame = read_frame(write_image(tmp_path / f"{seed}.fits", data, **cards))
        layout = judge_layout(frame, frame.black)
        assert not layout.problem and not layout.doubts


def test_x_trans_and_quad_bayer_without_a_card(tmp_path):
    quad = "".join(letter * 2 for letter in "RG") * 2 + "".join(letter * 2 for letter in "GB") * 2
    for letters, words in ((XTRANS, "6 x 6"), (quad, "4 x 4")):
        frame = read_frame(write_image(tmp_path / f"{words}.fits", mosaic_of(letters, np.random.default_rng(1))))
        assert words in judge_layout(frame, frame.black).problem


@pytest.mark.parametrize("letters", ["M", *BAYER])
@pytest.mark.parametrize("level", [0, 0.3, 3, 12])
def test_frames_without_light_prove_nothing(tmp_path, level, letters):
    """Bias frames of a sensor with fixed patterns of columns and rows, whose black level is known and subtracted."""
    cards = {} if letters == "M" else {"BAYERPAT": letters}
    for seed in range(5):
        rng = np.random.default_rng(seed)
        lines = rng.normal(0, 3, SHAPE[1]) + rng.normal(0, 1, SHAPE[0])[:, None]
        data = np.rint(500 + level + lines + rng.normal(0, 3, SHAPE)).astype(np.uint16)
        frame = read_frame(write_image(tmp_path / f"{seed}.fits", data, **cards))
        layout = judge_layout(frame, np.full(4, 500, np.float32))
        assert not layout.problem and not layout.doubts


def test_patterns_of_columns_are_no_colours(tmp_path):
    """Light, but columns that differ by 15 % without any period."""
    for seed in range(20):
        rng = np.random.default_rng(seed)
        data = rng.poisson(2000 * (1 + 0.15 * rng.standard_normal(SHAPE[1])).clip(0.3) * np.ones(SHAPE))
        frame = read_frame(write_image(tmp_path / f"{seed}.fits", data.astype(np.uint16)))
        assert not judge_layout(frame, frame.black).problem


@pytest.mark.parametrize("letters", ["M", "RGGB"])
@pytest.mark.parametrize("borders", [(0, 0, 6, 0), (0, 8, 6, 1), (10, 0, 0, 0), (0, 0, 0, 0), (2, 2, 2, 2)])
def test_dead_borders_are_found(letters, borders):
    top, bottom, left, right = borders
    data = mosaic_of(letters, np.random.default_rng(1), shape=(300, 400)).astype(np.float32)
    dead = np.ones(data.shape, bool)
    dead[top : 300 - bottom, left : 400 - right] = False
    data[dead] = 500
    cfa = ColorFilterArray.from_name("MONO" if letters == "M" else letters)
    assert find_image(data, cfa) == (top, 300 - bottom, left, 400 - right)


def test_a_steep_falloff_is_no_dead_border():
    y, x = np.indices((300, 400))
    for power in (2, 4, 8):
        falloff = 10000 / (1 + ((y - 150) ** 2 + (x - 200) ** 2) / 150**2) ** power
        assert find_image(falloff.astype(np.float32), ColorFilterArray.from_name("MONO")) == (0, 300, 0, 400)


def test_unmarked_overscan_of_a_real_camera(real_data):
    """Its README: left 6 columns and at least the bottom 6 rows at the level of the bias, the last column 0."""
    for number in (1, 2, 3):
        frame = read_frame(real_data / f"astro/qhy268m_flats/flat{number}.fits")
        top, bottom, left, right = find_image(frame.mosaic.astype(np.float32), frame.cfa)
        assert (top, left, right) == (0, 6, 1569) and 1040 <= bottom <= 1046
        cut = read_frame(
            real_data / f"astro/qhy268m_flats/flat{number}.fits",
            {"overscan": False, "cfa": None, "area": [top, bottom, left, right]},
        )
        assert cut.mosaic.shape == (bottom, 1563) and not judge_layout(cut, cut.black).doubts


def test_area_cuts_frames_and_their_pattern(tmp_path):
    data = mosaic_of("RGGB", np.random.default_rng(1))
    path = write_image(tmp_path / "a.fits", data, BAYERPAT="RGGB")
    frame = read_frame(path, {"overscan": False, "cfa": None, "area": [3, 90, 2, 140]})
    np.testing.assert_array_equal(frame.mosaic, data[3:90, 2:140])
    assert frame.cfa.name == "GBRG"
    with pytest.raises(FrameError, match=r"96 x 144.*area"):
        read_frame(path, {"overscan": False, "cfa": None, "area": [0, 97, 0, 10]})
    assert Reading.of(True).overscan and not Reading.of(False).overscan


# XISF


def write_xisf(path, data, cards, pattern="", codec=""):
    """A monolithic XISF file with one image, as PixInsight and N.I.N.A. write it."""
    content = data.tobytes()
    compression = ""
    if codec:
        raw = (
            np.frombuffer(content, np.uint8).reshape(-1, data.itemsize).T.tobytes()
            if codec.endswith("+sh")
            else content
        )
        compression = f' compression="{codec}:{len(content)}' + (f':{data.itemsize}"' if codec.endswith("+sh") else '"')
        content = zlib.compress(raw)
    kind = {"u2": "UInt16", "f4": "Float32"}[data.dtype.str[1:]]
    keywords = "".join(f'<FITSKeyword name="{name}" value="{value}" comment=""/>' for name, value in cards.items())
    filters = f'<ColorFilterArray pattern="{pattern}" width="2" height="2"/>' if pattern else ""
    text = (
        '<?xml version="1.0" encoding="UTF-8"?><xisf version="1.0" xmlns="http://www.pixinsight.com/xisf">'
        f'<Image geometry="{data.shape[1]}:{data.shape[0]}:1" sampleFormat="{kind}" colorSpace="Gray"{compression} '
        f'location="attachment:4096:{len(content)}">{keywords}{filters}</Image></xisf>'
    ).encode()
    head = b"XISF0100" + len(text).to_bytes(4, "little") + bytes(4) + text
    path.write_bytes(head.ljust(4096, b"\0") + content)
    return path


@pytest.mark.parametrize("codec", ["", "zlib", "zlib+sh"])
def test_xisf(tmp_path, codec):
    data = mosaic_of("RGGB", np.random.default_rng(1))
    cards = {"INSTRUME": "'cam'", "EXPTIME": "1.5", "GAIN": "100", "DATE-OBS": "'2023-01-02T06:00:00.123'"}
    path = write_xisf(tmp_path / "a.xisf", data, cards, "RGGB", codec)
    frame = read_frame(path)
    np.testing.assert_array_equal(frame.mosaic, data)
    assert frame.mosaic.shape == SHAPE and frame.cfa.name == "RGGB"
    found = frame.metadata
    assert (found.camera, found.exposure, found.gain, found.row_order) == ("cam", 1.5, 100, "TOP-DOWN")
    master = write_xisf(tmp_path / "b.xisf", (data / 65535).astype(np.float32), {"NCOMBINE": "20"}, "RGGB", codec)
    np.testing.assert_allclose(read_frame(master).mosaic, data, rtol=1e-6)


def test_what_pixinsight_corrected_is_known_by_its_history(tmp_path):
    data, enabled = mosaic_of("M", np.random.default_rng(1)), "ImageCalibration.master{}.enabled: {}"
    path = write_xisf(tmp_path / "a.xisf", data, {"EXPTIME": "2"})
    lines = [enabled.format("Bias", "false"), enabled.format("Dark", "true"), enabled.format("Flat", "true")]
    cards = "".join(f'<FITSKeyword name="HISTORY" value="" comment="{line}"/>' for line in lines)
    mark = b'<FITSKeyword name="EXPTIME"'
    content = path.read_bytes().replace(mark, cards.encode() + mark, 1)
    size = int.from_bytes(content[8:12], "little") + len(cards)
    content = content[:8] + size.to_bytes(4, "little") + content[12 : 16 + size] + bytes(4096)
    path.write_bytes(content[:4096] + data.tobytes())
    assert read_frame(path).metadata.calibrated == "DF"


def test_xisf_that_cannot_be_read(tmp_path):
    data = mosaic_of("M", np.random.default_rng(1))
    path = write_xisf(tmp_path / "a.xisf", data, {})
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(FrameError, match="10 bytes too early"):
        read_frame(path)
    (tmp_path / "b.xisf").write_bytes(b"SIMPLE  =")
    with pytest.raises(FrameError, match="is not an XISF file"):
        read_frame(tmp_path / "b.xisf")


# Raw files


def write_raw(path, mosaic, cfa=(0, 1, 1, 2), dim=(2, 2), black=512, black_dim=None, make="x", active=None, **options):
    """A DNG by its tags, for what the simulator does not write."""
    matrix = (1, 1, 0, 1, 0, 1, 0, 1, 1, 1, 0, 1, 0, 1, 0, 1, 1, 1)
    levels = np.ravel(black).tolist()
    tags = [(271, "s", 0, make, True), (272, "s", 0, "y", True), (50706, "B", 4, bytes([1, 4, 0, 0]), True)]
    tags += [(50708, "s", 0, f"{make} y", True), (50717, "H", 1, 16383, True)]
    if cfa:
        tags += [(33421, "H", 2, dim, True), (33422, "B", len(cfa), bytes(cfa), True), (50710, "B", 3, b"\0\1\2", True)]
        tags += [(50711, "H", 1, 1, True), (50721, "2i", 9, matrix, True), (50728, "2I", 3, (5, 10, 1, 1, 6, 10), True)]
    tags += [(50713, "H", 2, black_dim, True)] if black_dim else []
    tags += [(50714, "H", len(levels), tuple(levels) if len(levels) > 1 else levels[0], True)]
    tags += [(50829, "I", 4, active, True)] if active else []
    options = {"rowsperstrip": mosaic.shape[0]} | options
    tifffile.imwrite(
        path,
        mosaic,
        photometric=32803 if cfa else "minisblack",
        extratags=tags,
        metadata=None,
        software=False,
        **options,
    )
    if not cfa:
        with tifffile.TiffFile(path, mode="r+") as file:
            file.pages.first.tags[262].overwrite(34892)  # LinearRaw
    return path


def test_a_monochrome_raw(tmp_path):
    data = mosaic_of("M", np.random.default_rng(1), zero=512)
    frame = read_frame(write_raw(tmp_path / "a.dng", data, cfa=()))
    np.testing.assert_array_equal(frame.mosaic, data)
    assert frame.cfa.is_mono and list(frame.black) == [512] * 4


@pytest.mark.parametrize("active", [None, (2, 4, 96, 144), (3, 5, 96, 144)])
@pytest.mark.parametrize("period", [4, 6, 8])
def test_black_levels_that_repeat_over_more_than_two_pixels(tmp_path, active, period):
    """Signal above black is that of the colours, wherever the visible area begins."""
    rng = np.random.default_rng(period)
    tile = rng.integers(480, 540, (period, period))
    top, left = active[:2] if active else (0, 0)
    y, x = np.indices(SHAPE)
    levels = np.array([[900, 2100], [2100, 1150]])[(y - top) % 2, (x - left) % 2]
    data = (levels + tile[(y - top) % period, (x - left) % period]).astype(np.uint16)
    frame = read_frame(write_raw(tmp_path / "a.dng", data, black=tile, black_dim=(period, period), active=active))
    for i, j, color in frame.cfa.phases():
        found = frame.mosaic[i::2, j::2] - frame.black[color]
        assert (found == {0: 900, 1: 2100, 2: 1150, 3: 2100}[color]).all()


def test_black_of_x_trans_by_colour(tmp_path):
    tile = np.array([{"R": 0, "G": 1, "B": 2}[letter] for letter in XTRANS]).reshape(6, 6)
    black = np.array([1020, 1022, 1026])
    y, x = np.indices(SHAPE)
    color = tile[y % 6, x % 6]
    data = (np.array([900, 2100, 1150])[color] + black[color]).astype(np.uint16)
    options = {"cfa": tile.ravel().tolist(), "dim": (6, 6), "black": black[tile], "black_dim": (6, 6)}
    frame = read_frame(write_raw(tmp_path / "a.dng", data, **options))
    assert list(frame.black[:3]) == [1020, 1022, 1026] and not frame.remarks
    np.testing.assert_array_equal(frame.mosaic, data)


@pytest.mark.parametrize("active", [(3, 5, 93, 143), (1, 2, 96, 144), (6, 6, 96, 144)])
def test_x_trans_of_fujifilm_with_a_border_that_is_no_multiple_of_its_period(tmp_path, active):
    tile = np.array([{"R": 0, "G": 1, "B": 2}[letter] for letter in XTRANS]).reshape(6, 6)
    y, x = np.indices(SHAPE)
    color = tile[(y - active[0]) % 6, (x - active[1]) % 6]
    data = (np.array([900, 2100, 1150])[color] + 512).astype(np.uint16)
    path = write_raw(tmp_path / "a.dng", data, cfa=tile.ravel().tolist(), dim=(6, 6), make="FUJIFILM", active=active)
    frame = read_frame(path)
    found = frame.cfa.channel_map(frame.mosaic.shape)
    np.testing.assert_array_equal(frame.mosaic, np.array([900, 2100, 1150])[found] + 512)


def test_quad_bayer_says_so(tmp_path):
    quad = (0, 0, 1, 1, 0, 0, 1, 1, 1, 1, 2, 2, 1, 1, 2, 2)
    with pytest.raises(FrameError, match="quad Bayer") as caught:
        read_frame(write_raw(tmp_path / "a.dng", mosaic_of("M", np.random.default_rng(1)), cfa=quad, dim=(4, 4)))
    assert "damaged" not in str(caught.value)


def test_an_intact_file_that_libraw_does_not_know_is_not_called_damaged(tmp_path):
    path = write_raw(tmp_path / "a.dng", mosaic_of("RGGB", np.random.default_rng(1)))
    with tifffile.TiffFile(path, mode="r+") as file:
        file.pages.first.tags[259].overwrite(52546)  # as if its bytes were JPEG XL
    with pytest.raises(FrameError, match=r"has all its bytes.*JPEG XL.*uncompressed DNG") as caught:
        read_frame(path)
    assert "damaged" not in str(caught.value)


@pytest.mark.parametrize("name", ["a.tif", "a.TIFF", "a.png", "a.jpg"])
def test_a_picture_is_no_raw(tmp_path, name):
    tifffile.imwrite(tmp_path / name, mosaic_of("M", np.random.default_rng(1)))
    with pytest.raises(FrameError, match="is a picture"):
        read_frame(tmp_path / name)


def test_colours_of_subtractive_filters(real_data):
    with pytest.raises(FrameError, match="GMCY; only red, green, blue"):
        read_frame(real_data / "raws2/RAW_CANON_G1.CRW")


def test_real_files_of_many_layouts(real_data):
    folder = real_data / "astro"
    for name in ("flat-mef.fits", "science-mef.fits"):
        with pytest.raises(FrameError, match="holds 3 images"):
            read_frame(folder / name)
    frame = read_frame(folder / "star_test1.fit.fz")
    assert frame.mosaic.shape == (568, 931) and frame.metadata.readout_mode == "High Gain Mode"
    for path in (folder / "seestar_s50").glob("*.fit"):
        frame = read_frame(path)
        assert frame.cfa.name == "GRBG" and not judge_layout(frame, frame.black).problem
        assert (frame.metadata.gain, frame.metadata.aperture) == (80, 5)
    for path in (real_data / "raws2/pi_imx296").glob("sceneA*.dng"):
        frame = read_frame(path)
        assert frame.cfa.name == "BGGR" and list(frame.black) == [60] * 4


def test_a_set_is_read_with_its_pattern_and_area(tmp_path):
    """Through the job: what is cut off is in no number."""
    rng = np.random.default_rng(1)
    paths = []
    for index in range(4):
        data = mosaic_of("RGGB", rng)
        data[:, :6] = 500
        paths.append(str(write_image(tmp_path / f"{index}.fits", data, INSTRUME="cam", EXPTIME=1.0)))
    reading = {"overscan": False, "cfa": "RGGB", "area": [0, 96, 6, 144]}
    table = tmp_path / "t.tsv"
    inspect_frames.main(paths, table, tmp_path / "m.fits", list("0123"), [""] * 4, reading, acceptance(cfa="RGGB"), 1)
    rows = read_frames(table)
    assert [row.size for row in rows] == ["96 x 138"] * 4 and not any(row.doubt for row in rows)
