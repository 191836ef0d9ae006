"""Settings of a step that differ by camera, project and observation type."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_OBSTYPES = {
    "BIAS": "bias",
    "DARK": "dark",
    "LINEARITY": "flat",
    "FLAT": "flat",
    "DOMEFLAT": "flat",
    "BADPIXEL": "-",
    "CROSSTALK": "science",
    "ILLUMINATION": "science",
    "FRINGE": "science",
    "PATTERN": "science",
}
"""Of what the masters of each kind are made."""


def upgrade() -> None:
    """Go to this revision; what was made so far gets its scope, with the settings of its step."""
    op.add_column("product", sa.Column("scope", sa.Text(), server_default="", nullable=False))
    op.create_table(
        "step_settings",
        sa.Column("step", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("settings_hash", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("step", "scope", name=op.f("pk_step_settings")),
    )
    _give_scopes_to_images()
    _give_scopes_to_masters()
    op.execute(
        "INSERT INTO step_settings (step, scope, settings_hash)"
        " SELECT DISTINCT s.name, p.scope, s.settings_hash"
        " FROM product p JOIN step s ON s.kind = p.kind WHERE p.scope <> ''"
    )


def _give_scopes_to_images() -> None:
    conn = op.get_bind()
    words = conn.execute(sa.text("SELECT DISTINCT camera, project, obstype FROM exposure")).all()
    for camera, project, obstype in words:
        conn.execute(
            sa.text(
                "UPDATE product SET scope = :scope"
                " WHERE kind IN ('reduced', 'detrended', 'quicklook') AND key IN ("
                "  SELECT f.name FROM frame f JOIN exposure x ON x.id = f.exposure_id"
                "  WHERE x.camera = :camera AND x.project = :project AND x.obstype = :obstype)"
            ),
            {
                "scope": ".".join(map(_clean, (camera, project, obstype))),
                "camera": camera, "project": project, "obstype": obstype,
            },
        )  # fmt: skip


def _give_scopes_to_masters() -> None:
    conn = op.get_bind()
    rows = conn.execute(sa.text("SELECT product_id, master_kind, configuration FROM master"))
    for product_id, kind, configuration in rows.all():
        scope = f"{configuration.split('.')[1]}.-.{_OBSTYPES.get(kind, '-')}"
        conn.execute(
            sa.text("UPDATE product SET scope = :scope WHERE id = :id"),
            {"scope": scope, "id": product_id},
        )


def _clean(word: str) -> str:
    """As words stand in keys, when this was written."""
    safe = "".join(c if c.isascii() and (c.isalnum() or c in "_+-") else "_" for c in word.strip())
    return safe or "-"


def downgrade() -> None:
    """Go back to the revision before."""
    op.drop_table("step_settings")
    op.drop_column("product", "scope")
