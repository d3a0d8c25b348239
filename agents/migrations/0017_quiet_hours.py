from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("agents", "0016_changes"),
    ]

    operations = [
        migrations.AddField(
            model_name="escalation",
            name="quiet",
            field=models.JSONField(null=True),
        ),
    ]
