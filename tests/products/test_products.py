"""Nouns and their files: what is written is read back, whole or not at all, and never twice."""

import datetime as dt
from dataclasses import replace
from pathlib import Path
from typing import Any

import fitsio
import numpy as np
import pyarrow.parquet as pq
import pytest

from tesela.errors import ProductError, TeselaError
from tesela.products import files, maskbit
from tesela.products.catalogue import Catalogue, read_parquet
from tesela.products.columns import SINGLE
from tesela.products.frame import FrameFacts, mjd_of, night_of, night_span
from tesela.products.images import (
    STEPS_IN_NOISE,
    Coadd,
    Master,
    Operation,
    Psf,
    ReducedImage,
    card_dict,
    operation_cards,
)
from tesela.products.maskbit import MaskBit
from tesela.products.validity import Validity


def psf() -> Psf:
    return Psf({"coefficients": np.arange(6.0).reshape(3, 2)}, {"beta": 3.0, "n_stars": 12})


def reduced(rng: np.random.Generator) -> ReducedImage:
    shape = (20, 30)
    return ReducedImage(
        rng.normal(size=shape).astype(np.float32),
        rng.integers(0, 128, shape).astype(np.uint8),
        np.ones(shape, np.float32),
        np.ones((2, 1, 2), np.float32),
        psf(),
        {"x": np.arange(4.0), "flux_aper": np.ones((4, 9), np.float32)},
        [("FRAME", "m80-1", ""), ("TSL OP1 NAME", "overscan", ""), ("MAGZP", 25.125, "")],
    )


def test_mask_values_are_the_promised_seven() -> None:
    assert [int(bit) for bit in MaskBit] == [1, 2, 4, 8, 16, 32, 64]
    assert set(maskbit.MEANING) == set(MaskBit)
    assert maskbit.UNUSABLE & MaskBit.OBJECT == 0


def test_reduced_image_round_trip(tmp_path: Path, rng: np.random.Generator) -> None:
    image, path = reduced(rng), tmp_path / "r.fits"
    image.write(path)
    back = ReducedImage.read(path)
    for name in ("mask", "sky_mesh"):
        np.testing.assert_array_equal(getattr(back, name), getattr(image, name))
    step = card_dict(back.cards)["TSL STEP"]
    assert step == pytest.approx(np.sqrt(np.median(image.sky_mesh[1])) / STEPS_IN_NOISE)
    np.testing.assert_allclose(back.image, image.image, atol=0.501 * step)
    np.testing.assert_array_equal(back.psf.arrays["coefficients"], psf().arrays["coefficients"])
    assert back.psf.numbers["beta"] == 3.0
    np.testing.assert_array_equal(back.sources["flux_aper"], image.sources["flux_aper"])
    assert {k: v for k, v, _ in back.cards}["MAGZP"] == 25.125


def test_reduced_file_has_the_promised_order_and_legend(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    path = tmp_path / "r.fits"
    reduced(rng).write(path)
    with fitsio.FITS(str(path)) as fits:
        names = [hdu.get_extname() for hdu in fits]
        legend = fits["MASK"].read_header()
    assert names[:4] == ["", "IMAGE", "MASK", "VARIANCE"]
    assert legend["ZIMAGE"]
    for bit in MaskBit:
        assert legend[f"MASK{bit.name}"[:8]] == int(bit)


def test_mask_is_readable_by_astropy(tmp_path: Path, rng: np.random.Generator) -> None:
    from astropy.io import fits

    image, path = reduced(rng), tmp_path / "r.fits"
    image.write(path)
    with fits.open(path) as opened:
        np.testing.assert_array_equal(opened["MASK"].data, image.mask)
        assert opened["IMAGE"].header["TSL OP1 NAME"] == "overscan"


def test_same_content_same_bytes(tmp_path: Path, rng: np.random.Generator) -> None:
    image = reduced(rng)
    image.write(tmp_path / "a.fits")
    image.write(tmp_path / "b.fits")
    assert files.sha256_of(tmp_path / "a.fits") == files.sha256_of(tmp_path / "b.fits")


def test_one_changed_pixel_changes_the_data_hash(rng: np.random.Generator) -> None:
    image = reduced(rng)
    before = image.data_hash()
    image.cards.append(("DATE", "2026-01-01", ""))
    assert image.data_hash() == before
    image.mask[3, 3] ^= 1
    assert image.data_hash() != before


@pytest.mark.parametrize(
    "card", ["CRVAL1", "CRPIX2", "CD1_2", "PV2_10", "MAGZP", "MAGZPERR", "COLCOEF", "COLPIVOT"]
)
def test_what_gives_pixels_their_meaning_is_in_the_data_hash(
    rng: np.random.Generator, card: str
) -> None:
    def hash_with(value: object) -> str:
        image = reduced(rng=np.random.default_rng(1))
        image.cards = [(card, value, "")]
        plane, counts = image.image, image.mask
        coadd = Coadd(plane, plane, plane, counts, counts, psf(), image.cards)
        return image.data_hash() + coadd.data_hash()

    value = float(rng.normal(200, 10))
    assert hash_with(value) != hash_with(value * (1 + 1e-9))
    assert hash_with(None) == hash_with(float("nan")) != hash_with(0.0)


def test_facts_within_facts_are_in_the_data_hash() -> None:
    """A dual catalogue has a zero point a band."""

    def hash_with(facts: dict[str, Any]) -> str:
        return Catalogue({"number": np.arange(3, dtype=np.int32)}, facts, "dual").data_hash()

    zero = {"gSDSS": 22.5, "rSDSS": 22.0}
    first = hash_with({"zeropoint_mag": zero, "tile": "T"})
    assert first == hash_with({"tile": "U", "zeropoint_mag": dict(reversed(zero.items()))})
    assert first != hash_with({"zeropoint_mag": {**zero, "rSDSS": 22.1}})
    assert first != hash_with({"zeropoint_mag": {"gSDSS": 22.0, "rSDSS": 22.5}})
    assert first != hash_with({"depth_psf_mag": zero})


def test_numbers_of_any_length_survive_the_header_for_the_data_hash(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    image = reduced(rng)
    values = rng.normal(size=40) * 10.0 ** rng.integers(-12, 8, 40)
    image.cards = [(f"PV1_{n}", value, "") for n, value in enumerate(values)]
    image.cards += [("MAGZP", float("nan"), ""), ("CRVAL1", 1 / 3, "")]
    image.write(tmp_path / "r.fits")
    back = ReducedImage.read(tmp_path / "r.fits")
    assert (
        replace(back, image=image.image, variance=image.variance).data_hash() == image.data_hash()
    )


def test_steps_of_an_image_change_no_sum_and_no_zero(tmp_path: Path) -> None:
    rng = np.random.default_rng(11)
    image = reduced(rng)
    shape = (400, 500)
    image = replace(
        image,
        image=rng.normal(0.0, 1.0, shape).astype(np.float32),
        mask=np.zeros(shape, np.uint8),
        variance=rng.uniform(0.9, 40.0, shape).astype(np.float32),
    )
    image.image[100:110], image.image[5, 5] = 0.0, 1.2e5
    image.write(tmp_path / "r.fits")
    back = ReducedImage.read(tmp_path / "r.fits")
    assert np.all(back.image[100:110] == 0.0)
    assert back.image[5, 5] == pytest.approx(1.2e5, abs=0.1)
    off = (back.image - image.image).astype(np.float64)
    step = 1 / STEPS_IN_NOISE
    assert off.std() == pytest.approx(step / np.sqrt(12), rel=0.03)
    assert abs(off.sum()) < 4 * step * np.sqrt(image.image.size / 12)
    assert np.abs(back.variance / image.variance - 1).max() < 0.006


def test_zero_point_and_depth_are_in_the_hash_of_a_catalogue() -> None:
    def hash_with(**facts: object) -> str:
        return Catalogue({"ra": np.array([1.0])}, {"band": "r", **facts}).data_hash()

    hashes = {hash_with(zeropoint_mag=z, depth_psf_mag=d) for z in (24.0, 24.1) for d in (21, 22)}
    assert len(hashes) == 4
    assert hash_with(provenance={"TSL VERSION": 1}) == hash_with()


def test_nothing_is_overwritten(tmp_path: Path, rng: np.random.Generator) -> None:
    path = tmp_path / "r.fits"
    reduced(rng).write(path)
    with pytest.raises(ProductError, match="nothing is overwritten"):
        reduced(rng).write(path)


@pytest.mark.parametrize("damage", ["missing", "truncated", "other"])
def test_damaged_products_are_named(tmp_path: Path, rng: np.random.Generator, damage: str) -> None:
    path = tmp_path / "r.fits"
    if damage != "missing":
        reduced(rng).write(path)
    if damage == "truncated":
        path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(ProductError, match=r"r\.fits"):
        Coadd.read(path) if damage == "other" else ReducedImage.read(path)


def test_master_round_trip(tmp_path: Path) -> None:
    master = Master(
        "FLAT", np.ones((4, 5), np.float32), np.zeros((4, 5), np.uint8), [("MSTKIND", "FLAT", "")]
    )
    master.write(tmp_path / "m.fits")
    back = Master.read(tmp_path / "m.fits")
    assert (back.kind, back.data_hash()) == ("FLAT", master.data_hash())


def test_coadd_round_trip(tmp_path: Path) -> None:
    plane = np.ones((6, 7), np.float32)
    coadd = Coadd(
        plane,
        plane * 2,
        plane * 3,
        np.zeros((6, 7), np.uint8),
        np.ones((6, 7), np.uint8),
        psf(),
        [],
    )
    coadd.write(tmp_path / "c.fits")
    assert Coadd.read(tmp_path / "c.fits").data_hash() == coadd.data_hash()


def test_catalogue_carries_units_and_ucds(tmp_path: Path) -> None:
    columns = {"ra": np.array([1.0, 2.0]), "flux_aper": np.ones((2, 8), np.float32)}
    catalogue = Catalogue(columns, {"band": "rSDSS"})
    catalogue.write(tmp_path / "c.parquet")
    field = pq.read_schema(tmp_path / "c.parquet").field("ra")
    assert field.metadata[b"unit"] == b"deg"
    assert field.metadata[b"ucd"] == SINGLE["ra"].ucd.encode()
    back = Catalogue.read(tmp_path / "c.parquet")
    assert back.facts == {"band": "rSDSS"}
    assert len(back) == 2
    assert back.data_hash() == catalogue.data_hash()


def test_a_column_outside_the_one_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ProductError, match="fluxx"):
        Catalogue({"fluxx": np.ones(1)}, {}).write(tmp_path / "c.parquet")


def test_damaged_parquet_is_named(tmp_path: Path) -> None:
    (tmp_path / "c.parquet").write_bytes(b"PAR1 and then nothing")
    with pytest.raises(ProductError, match=r"c\.parquet"):
        read_parquet(tmp_path / "c.parquet")


@pytest.mark.parametrize("where", [0.2, 0.5, 0.8])
def test_a_changed_byte_in_a_catalogue_is_found(tmp_path: Path, where: float) -> None:
    """Numbers that decompress well are not yet those that were written."""
    path = tmp_path / "c.parquet"
    values = np.random.default_rng(1).random(20_000).astype(np.float32)
    Catalogue({"flux_auto": values}, {"tile": "T"}).write(path)
    content = bytearray(path.read_bytes())
    content[int(where * len(content))] ^= 0x55
    path.write_bytes(content)
    with pytest.raises(ProductError, match=r"c\.parquet"):
        read_parquet(path)


def test_operations_become_cards_in_order() -> None:
    cards = operation_cards([Operation("bias"), Operation("gain", {"e_per_adu": [1.0, 2.0]})])
    assert cards == [
        ("TSL OP1 NAME", "bias", ""),
        ("TSL OP2 NAME", "gain", ""),
        ("TSL OP2 E_PER_ADU", "1.0 2.0", ""),
    ]


def test_publish_is_atomic_and_refuses_to_overwrite(tmp_path: Path) -> None:
    final = tmp_path / "deep" / "f"
    for text in ("one", "two"):
        (tmp_path / text).write_text(text)
    files.publish(tmp_path / "one", final)
    assert final.read_text() == "one"
    assert not (tmp_path / "one").exists()
    with pytest.raises(ProductError, match="nothing is overwritten"):
        files.publish(tmp_path / "two", final)
    assert final.read_text() == "one"


def test_new_folders_are_flushed_with_what_holds_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[Path] = []
    monkeypatch.setattr(files, "sync", flushed.append)
    temporary = tmp_path / "t"
    temporary.write_text("x")
    final = tmp_path / "a" / "b" / "f"
    files.publish(temporary, final)
    assert final.read_text() == "x"
    assert flushed == [tmp_path, tmp_path / "a", tmp_path / "a" / "b"]


def test_atomic_copy_leaves_nothing_when_it_fails(tmp_path: Path) -> None:
    final = tmp_path / "f"
    with pytest.raises(RuntimeError), files.atomic_copy_target(final) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_validity_is_half_open() -> None:
    span = Validity(10.0, 11.0)
    assert span.contains(10.0) and not span.contains(11.0)
    assert not span.overlaps(Validity(11.0, 12.0))
    assert span.overlaps(Validity(10.999999, 12.0))
    assert (span.distance(9.0), span.distance(10.5), span.distance(13.0)) == (1.0, 0.0, 2.0)
    for bad in ((2.0, 1.0), (1.0, 1.0), (float("nan"), 1.0)):
        with pytest.raises(TeselaError, match="begin before end"):
            Validity(*bad)


def test_night_changes_at_local_noon() -> None:
    javalambre = -1.0163
    begin, end = night_span("2017-07-03", javalambre)
    assert night_of(begin, javalambre) == "2017-07-03"
    assert night_of(end - 1e-6, javalambre) == "2017-07-03"
    assert night_of(end, javalambre) == "2017-07-04"
    assert night_of(mjd_of(dt.datetime(2017, 7, 4, 2, 0)), javalambre) == "2017-07-03"


def test_facts_survive_a_journey_as_plain_values() -> None:
    facts = FrameFacts(
        "m80-20170703T213000-01", "/x", "a", "b", "T", "mini80", "01", "rSDSS", "S1", "science", "",
        "SLOW", 57937.9, 40.0, 211.8, 55.1, 1.1, "o", "survey", "2017-07-03", 1152, 1154,
        ((1.0, 2.0), (3.0, 4.0)), "m80-20170703T213000",
    )  # fmt: skip
    assert FrameFacts.from_dict(facts.as_dict()) == facts
    assert facts.mjd_mid == pytest.approx(57937.9 + 20 / 86400)
