"""Questions about what the monitors follow, amplifier by amplifier and night by night."""

from __future__ import annotations

from sqlalchemy import text

# What any version of this product said before.
FORGET_AMP_VALUES = text("""
    DELETE FROM amp_quality WHERE product_id IN (
        SELECT every.id FROM product one
        JOIN product every ON every.kind = one.kind AND every.key = one.key
        WHERE one.id = :product_id)
""")

# Where several products of a night follow the same quantity, the last one entered stands.
PUT_AMP_VALUE = text("""
    INSERT INTO amp_quality (detector, filter, source, night, amp, metric, value, error, n,
                             level, reason, product_id, at_mjd)
    VALUES (:detector, :filter, :source, :night, :amp, :metric, :value, :error, :n,
            :level, :reason, :product_id, :at_mjd)
    ON CONFLICT (detector, filter, source, night, amp, metric) DO UPDATE
    SET value = excluded.value, error = excluded.error, n = excluded.n, level = excluded.level,
        reason = excluded.reason, product_id = excluded.product_id, at_mjd = excluded.at_mjd
""")

# Values of products that are still held to be good.
GOOD = """
    FROM amp_quality a
    JOIN product p ON p.id = a.product_id AND p.state = 'valid'
    LEFT JOIN master m ON m.product_id = a.product_id
    WHERE COALESCE(m.state, '') NOT IN ('invalid', 'rejected')
"""

# The last nights with a value, so many of them, the oldest first. `which` holds the conditions
# that are asked for: with detector, metric, filter and source the primary key finds the nights
# from the last one backwards, and stops.
_SERIES = """a.detector = :detector AND a.metric = :metric{which}
      AND a.night >= :since AND a.night < :before"""
AMP_SERIES = f"""
    SELECT a.* {GOOD} AND {_SERIES}
      AND a.night >= (
        SELECT MIN(night) FROM (
            SELECT DISTINCT a.night {GOOD} AND {_SERIES}
            ORDER BY a.night DESC LIMIT :limit) latest)
    ORDER BY a.night, a.filter, a.source, a.amp
"""

AMP_ALERTS = text(f"""
    SELECT a.* {GOOD}
      AND a.night >= :since AND a.level >= :level
      AND (:detector = '' OR a.detector = :detector)
    ORDER BY a.night DESC, a.level DESC, a.detector, a.metric, a.filter, a.source, a.amp
""")

AMP_NIGHTS = text(f"""
    SELECT a.night, COUNT(*) AS n, SUM(CASE WHEN a.level = 1 THEN 1 ELSE 0 END) AS warnings,
           SUM(CASE WHEN a.level = 2 THEN 1 ELSE 0 END) AS alarms
    {GOOD}
      AND a.night IN (SELECT DISTINCT night FROM amp_quality ORDER BY night DESC LIMIT :limit)
      AND (:detector = '' OR a.detector = :detector)
    GROUP BY a.night ORDER BY a.night DESC
""")

AMP_FOLLOWED = text(f"""
    SELECT a.detector, a.filter, a.source, a.metric, COUNT(DISTINCT a.night) AS nights,
           MAX(a.night) AS latest
    {GOOD}
      AND a.night >= :since
    GROUP BY a.detector, a.filter, a.source, a.metric
    ORDER BY a.detector, a.metric, a.filter, a.source
""")
