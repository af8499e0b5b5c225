"""Pictures of every kind in one form: the values that come out, and what is said of it."""

import struct

import numpy as np
import pytest
from PIL import Image

from pipeline.datasets.findings import CODES
from pipeline.datasets.formats.pixels import (
    CONVERSIONS,
    SUFFIXES,
    PictureForm,
    Size,
    read_pixels,
    read_size,
    sentence_of,
)
from pipeline.errors import DatasetError

RGB, GREY = PictureForm(Size(4, 6, 3)), PictureForm(Size(4, 6, 1))
RAMP = np.arange(24, dtype=np.uint8).reshape(4, 6) * 10
COLOURS = np.stack([RAMP, 255 - RAMP, RAMP // 2], axis=-1)


def save(path, array, **options):
    Image.fromarray(array).save(path, **options)
    return path


@pytest.mark.parametrize("name", ["x.png", "x.bmp", "x.tif", "x.TIFF", "x.webp"])
def test_lossless_formats_give_the_pixels_themselves(tmp_path, name):
    path = save(tmp_path / name, COLOURS, **({"lossless": True} if name == "x.webp" else {}))
    pixels, done = read_pixels(path, RGB)
    np.testing.assert_array_equal(pixels, COLOURS)
    assert (pixels.dtype, done, read_size(path)) == (np.uint8, (), Size(4, 6, 3))


def test_transparency_is_put_on_white(tmp_path):
    alpha = np.full((4, 6), 255, np.uint8)
    alpha[0], alpha[1] = 0, 51
    layered = np.dstack([COLOURS, alpha])
    pixels, done = read_pixels(save(tmp_path / "x.png", layered), RGB)
    assert done == ("rgba",)
    assert (pixels[0] == 255).all()
    expected = 255 - (255 - COLOURS[1].astype(float)) * 0.2
    assert abs(pixels[1] - expected).max() <= 1
    np.testing.assert_array_equal(pixels[2:], COLOURS[2:])
    both = np.dstack([RAMP, alpha])
    grey, done = read_pixels(save(tmp_path / "la.png", both), GREY)
    assert done == ("rgba",)
    assert (grey[0] == 255).all()
    np.testing.assert_array_equal(grey[2:, :, 0], RAMP[2:])


def test_a_transparent_colour_of_a_palette_or_of_grey_is_white(tmp_path):
    image = Image.fromarray(RAMP)
    image.save(tmp_path / "grey.png", transparency=10)
    grey, done = read_pixels(tmp_path / "grey.png", GREY)
    assert (grey[0, 1, 0], grey[0, 2, 0], done) == (255, 20, ("rgba",))
    flat = Image.new("P", (6, 4), 1)
    flat.putpalette([0, 0, 0, 10, 200, 30])
    flat.putpixel((0, 0), 0)
    flat.save(tmp_path / "p.png", transparency=0)
    pixels, done = read_pixels(tmp_path / "p.png", RGB)
    assert done == ("palette", "rgba")
    assert (pixels[0, 0].tolist(), pixels[0, 1].tolist()) == ([255] * 3, [10, 200, 30])


@pytest.mark.parametrize("name", ["x.png", "x.tif"])
def test_sixteen_bits_are_scaled_and_never_clipped(tmp_path, name):
    values = np.linspace(0, 65535, 24).astype(np.uint16).reshape(4, 6)
    pixels, done = read_pixels(save(tmp_path / name, values), GREY)
    np.testing.assert_array_equal(pixels[..., 0], np.rint(values / 257))
    assert done == ("16bit",)
    assert (pixels.min(), pixels.max(), len(np.unique(pixels))) == (0, 255, 24)
    shown, done = read_pixels(tmp_path / name, RGB)
    np.testing.assert_array_equal(shown, np.repeat(pixels, 3, axis=2))
    assert done == ("16bit", "rgb")


def png_of(values, colour_type, path):
    """Writes a PNG of 16 bits, which Pillow cannot write in colour."""
    import zlib

    def chunk(name, data):
        crc = zlib.crc32(name + data)
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", crc)

    height, width = values.shape[:2]
    head = struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )
    return path


def test_sixteen_bits_a_colour_keep_their_upper_half(tmp_path):
    colours = (COLOURS.astype(np.uint16) << 8) + 200
    pixels, done = read_pixels(png_of(colours, 2, tmp_path / "x.png"), RGB)
    np.testing.assert_array_equal(pixels, COLOURS)
    assert done == ("16bit",)
    opaque = np.full((4, 6, 1), 65535, np.uint16)
    both = np.dstack([RAMP.astype(np.uint16) << 8, opaque])
    path = png_of(both, 4, tmp_path / "la.png")
    assert read_size(path).channels == 1
    pixels, done = read_pixels(path, GREY)
    np.testing.assert_array_equal(pixels[..., 0], RAMP)
    assert done == ("16bit", "rgba")


def test_cmyk_becomes_rgb(tmp_path):
    Image.fromarray(COLOURS).convert("CMYK").save(tmp_path / "x.tif")
    pixels, done = read_pixels(tmp_path / "x.tif", RGB)
    assert done == ("cmyk",)
    assert abs(pixels.astype(int) - COLOURS).max() <= 2


def test_of_several_frames_the_first_is_read(tmp_path):
    frames = [Image.fromarray(RAMP), Image.fromarray(255 - RAMP)]
    for name in ("x.gif", "x.tif", "x.png"):
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:])
        pixels, done = read_pixels(tmp_path / name, PictureForm(GREY.size, to_grey=True))
        np.testing.assert_array_equal(pixels[..., 0], RAMP)
        assert "frames" in done


@pytest.mark.parametrize("value", range(1, 9))
@pytest.mark.parametrize("name", ["x.jpg", "x.png", "x.webp", "x.tif"])
def test_a_camera_that_was_turned_is_turned_back(tmp_path, name, value):
    upright = np.kron(np.array([[250, 10, 90], [60, 200, 30]], np.uint8), np.ones((8, 8), np.uint8))
    # What the sensor of a camera held so would have seen: the transpositions that EXIF defines.
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.T,
        6: upright.T[::-1],
        7: upright.T[::-1, ::-1],
        8: upright.T[:, ::-1],
    }[value]
    exif = Image.Exif()
    exif[0x0112] = value
    options = {"quality": 95} if name == "x.jpg" else {"lossless": True} if "webp" in name else {}
    image = Image.fromarray(np.ascontiguousarray(stored))
    image.save(tmp_path / name, exif=exif, **options)
    form = PictureForm(Size(16, 24, 1), to_grey=True)
    assert (read_size(tmp_path / name).height, read_size(tmp_path / name).width) == (16, 24)
    pixels, done = read_pixels(tmp_path / name, form)
    assert abs(pixels[..., 0].astype(int) - upright).max() < 20
    assert ("rotated" in done) == (value != 1)


def test_a_png_that_notes_it_behind_its_pixels_is_turned_too(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    image = Image.fromarray(np.ascontiguousarray(RAMP.T[::-1]))
    image.save(tmp_path / "x.png", exif=exif)
    whole = (tmp_path / "x.png").read_bytes()
    start = whole.index(b"eXIf") - 4
    length = 12 + struct.unpack(">I", whole[start : start + 4])[0]
    noted, rest = whole[start : start + length], whole[:start] + whole[start + length :]
    end = rest.index(b"IEND") - 4
    (tmp_path / "x.png").write_bytes(rest[:end] + noted + rest[end:])
    pixels, done = read_pixels(tmp_path / "x.png", GREY)
    np.testing.assert_array_equal(pixels[..., 0], RAMP)
    assert done == ("rotated",)


def test_scaling_averages_over_all_pixels(tmp_path):
    stripes = np.zeros((64, 64), np.uint8)
    stripes[:, ::2] = 200
    form = PictureForm(Size(8, 16, 1), scaled=True)
    pixels, done = read_pixels(save(tmp_path / "x.png", stripes), form)
    assert (pixels.shape, done) == ((8, 16, 1), ("scaled",))
    assert abs(pixels.astype(int) - 100).max() <= 15
    same, done = read_pixels(save(tmp_path / "y.png", stripes[:8, :16]), form)
    np.testing.assert_array_equal(same[..., 0], stripes[:8, :16])
    assert done == ()


def test_colours_become_grey_by_their_luma_where_that_was_asked_for(tmp_path):
    path = save(tmp_path / "x.png", COLOURS)
    pixels, done = read_pixels(path, PictureForm(GREY.size, to_grey=True))
    assert done == ("grey",)
    assert abs(pixels[..., 0] - COLOURS @ [0.299, 0.587, 0.114]).max() <= 1
    with pytest.raises(DatasetError, match=r"x.png is a colour picture; expected grey ones like"):
        read_pixels(path, GREY)
    with pytest.raises(DatasetError, match=r"x.png is 6x4 pixels; expected 6x5 like the others"):
        read_pixels(path, PictureForm(Size(5, 6, 3)))


@pytest.mark.parametrize(
    ("array", "name", "kind"),
    [
        (np.ones((4, 6), np.int32), "x.tif", "I, whose range is not known"),
        (np.ones((4, 6), np.float32), "x.tif", "F, whose range is not known"),
    ],
)
def test_pixels_without_a_known_range_are_refused(tmp_path, array, name, kind):
    path = save(tmp_path / name, array)
    message = f"x.tif has pixels of the kind {kind}; expected 8 or 16 bits of grey or RGB"
    for read in (read_size, lambda path: read_pixels(path, GREY)):
        with pytest.raises(DatasetError, match=message):
            read(path)


def test_sixteen_bits_in_which_zero_is_white_are_refused(tmp_path):
    path = save(tmp_path / "x.tif", np.ones((4, 6), np.uint16))
    whole = path.read_bytes()
    entry = struct.pack("<HHIHH", 262, 3, 1, 1, 0)
    assert whole.count(entry) == 1
    path.write_bytes(whole.replace(entry, struct.pack("<HHIHH", 262, 3, 1, 0, 0)))
    with pytest.raises(DatasetError, match=r"kind I;16 with zero for white, whose range is not"):
        read_size(path)


def test_every_conversion_is_a_finding_and_a_sentence():
    assert CONVERSIONS.keys() <= CODES.keys()
    assert sentence_of("rgba", 8, RGB) == "8 pictures with transparency (RGBA) were put on white"
    assert sentence_of("palette", 1, RGB) == "1 picture with a palette was read in its colours"
    assert sentence_of("scaled", 1200, RGB) == (
        "1,200 pictures of other sizes were scaled to 4x6, stretched where proportions differ"
    )
    assert sentence_of("rotated", 2, RGB) == (
        "2 pictures were turned upright, as the camera noted (EXIF)"
    )
    assert {".png", ".jpg", ".webp", ".tif", ".gif"} <= set(SUFFIXES)


def test_a_form_survives_a_models_metadata():
    form = PictureForm(Size(4, 6, 3), scaled=True)
    assert PictureForm.of(form.as_dict()) == form
