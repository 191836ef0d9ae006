"""A calibration used outside its validity is said in the header of the image, by name."""

from __future__ import annotations

from tesela.flow.run.fallback import Fallback, cards


def test_an_image_without_fallbacks_says_zero_days() -> None:
    assert [card[:2] for card in cards([])] == [("TSL FALLBACK", 0.0)]


def test_the_header_names_each_master_and_what_was_done_in_between() -> None:
    found = [
        Fallback("DARK", "2017-07-02", 5.6, is_older=True),
        Fallback("ILLUMINATION", "2017-06-26", 19.3931, True, "mirror washed of 2017-07-04"),
    ]
    made = cards(found)
    assert made[0][:2] == ("TSL FALLBACK", 19.393)
    assert made[1] == ("TSL FALL1", "DARK of 2017-07-02", "")
    assert str(made[2][1]).startswith("ILLUMINATION of 2017-06-26, across mirror washed of")
    assert all(len(f"HIERARCH {name} = '{value}'") <= 80 for name, value, _ in made[1:])
