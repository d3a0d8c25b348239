from django.db import migrations, models


class Migration(migrations.Migration):
    """Which files went on changing while a checkpoint was taken; NULL: it is of one moment."""

    dependencies = [("checkpoints", "0006_roots_only")]

    operations = [
        migrations.AddField(model_name="checkpoint", name="moving", field=models.JSONField(null=True))
    ]
