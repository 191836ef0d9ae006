"""Exposures of many CCDs: their names, and which CCDs they should have."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go to this revision; the name is what follows telescope and camera in the key.

    Which CCDs an earlier exposure should have had was not written down: of none it is said that
    one is missing.
    """
    op.add_column("exposure", sa.Column("name", sa.Text(), server_default="", nullable=False))
    op.add_column(
        "exposure", sa.Column("ccds_json", sa.Text(), server_default="[]", nullable=False)
    )
    op.create_index("ix_exposure_name", "exposure", ["name"], unique=False)
    op.execute("UPDATE exposure SET name = substr(key, length(telescope) + length(camera) + 3)")


def downgrade() -> None:
    """Go back to the revision before."""
    op.drop_index("ix_exposure_name", table_name="exposure")
    op.drop_column("exposure", "ccds_json")
    op.drop_column("exposure", "name")
