from django.contrib.postgres.indexes import HashIndex
from django.db import migrations, models


class Migration(migrations.Migration):
    """Many checkpoints may have the same memory, and one of them has its root: only that one is looked up."""

    dependencies = [("checkpoints", "0005_when_it_paused")]

    operations = [
        migrations.RemoveIndex(model_name="checkpoint", name="checkpoints_roots"),
        migrations.AddIndex(
            model_name="checkpoint",
            index=HashIndex(
                condition=models.Q(("root_body__isnull", False)), fields=["memory"], name="checkpoints_roots"
            ),
        ),
    ]
