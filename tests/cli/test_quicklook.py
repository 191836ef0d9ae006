"""What the quick look prints."""

from __future__ import annotations

import datetime as dt

from tesela.cli.quicklook import lines
from tesela.flow.run.quicklook import Seen

NOW = dt.datetime(2017, 7, 3, 23, 4, 5, tzinfo=dt.UTC)


def test_a_frame_is_told_with_the_time_and_how_long_it_took() -> None:
    metrics = {"sky_e": -0.3, "fwhm_arcsec": 1.234}
    seen = Seen("/in/a.fits", "a", "rejected", ("too wide",), metrics, since_closed_s=7.4)
    assert list(lines(seen, NOW)) == [
        "23:04:05 a: rejected, seeing 1.23 arcsec, sky 0 e-; 7 s after it was closed",
        "  too wide",
    ]
    seen = Seen("/in/b.fits", "b", "refused", ("no card EXPTIME",))
    assert list(lines(seen, NOW)) == ["23:04:05 b: refused", "  no card EXPTIME"]
