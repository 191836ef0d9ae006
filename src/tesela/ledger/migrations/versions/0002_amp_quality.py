"""What the monitors follow: values of amplifiers, night by night."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go to this revision."""
    op.create_table(
        "amp_quality",
        sa.Column("detector", sa.Text(), nullable=False),
        sa.Column("metric", sa.Text(), nullable=False),
        sa.Column("filter", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("night", sa.Text(), nullable=False),
        sa.Column("amp", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("value", sa.Float(), nullable=True),
        sa.Column("error", sa.Float(), nullable=True),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("level", sa.Integer(), nullable=False),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("product_id", sa.Integer(), nullable=False),
        sa.Column("at_mjd", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(
            ["product_id"], ["product.id"], name=op.f("fk_amp_quality_product_id")
        ),
        sa.PrimaryKeyConstraint(
            "detector", "metric", "filter", "source", "night", "amp", name=op.f("pk_amp_quality")
        ),
    )
    op.create_index(
        "ix_amp_quality_series", "amp_quality", ["detector", "metric", "amp", "night"], unique=False
    )
    op.create_index("ix_amp_quality_night", "amp_quality", ["night", "level"], unique=False)
    op.create_index("ix_amp_quality_product_id", "amp_quality", ["product_id"], unique=False)


def downgrade() -> None:
    """Go back to the revision before."""
    op.drop_table("amp_quality")
