from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("agents", "0019_labels_of_webhooks"),
    ]

    operations = [
        migrations.CreateModel(
            name="AuditHead",
            fields=[
                ("id", models.PositiveSmallIntegerField(default=1, primary_key=True, serialize=False)),
                ("entry", models.BigIntegerField()),
                ("digest", models.BinaryField(max_length=32)),
            ],
        ),
        migrations.RunSQL(
            "INSERT INTO agents_audithead (id, entry, digest)"
            " SELECT 1, id, digest FROM agents_auditentry ORDER BY id DESC LIMIT 1",
            migrations.RunSQL.noop,
        ),
    ]
