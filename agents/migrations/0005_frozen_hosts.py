from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("agents", "0004_rare_entries")]
    operations = [
        migrations.AddField("instance", "beats", models.BooleanField(default=True)),
        migrations.AddIndex(
            "run",
            models.Index(condition=models.Q(("state", "running")), fields=["instance"], name="runs_running"),
        ),
    ]
