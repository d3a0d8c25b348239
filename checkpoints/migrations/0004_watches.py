import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("agents", "0012_audit_by_verb"),
        ("checkpoints", "0003_rollbacks"),
    ]

    operations = [
        migrations.CreateModel(
            name="Watch",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("where", models.CharField(max_length=10)),
                ("path", models.CharField(max_length=1000)),
                ("op", models.CharField(max_length=10)),
                ("value", models.CharField(max_length=1000)),
                (
                    "policy",
                    models.CharField(
                        choices=[("observe", "Observe"), ("enforce", "Enforce")],
                        default="observe",
                        max_length=10,
                    ),
                ),
                ("is_on", models.BooleanField(default=True)),
                ("by", models.CharField(max_length=200)),
                ("at", models.DateTimeField()),
                (
                    "agent",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="watches", to="agents.agent"
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Unjudged",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("checkpoint", models.UUIDField()),
                ("at", models.DateTimeField()),
                (
                    "watch",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="checkpoints.watch"
                    ),
                ),
            ],
            options={
                "indexes": [models.Index(fields=["at", "id"], name="unjudged_in_order")],
            },
        ),
        migrations.CreateModel(
            name="Watched",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("passes", models.BooleanField(null=True)),
                ("checkpoint", models.UUIDField()),
                ("at", models.DateTimeField()),
                ("since", models.DateTimeField()),
                (
                    "instance",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="agents.instance"
                    ),
                ),
                (
                    "watch",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="seen",
                        to="checkpoints.watch",
                    ),
                ),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("watch", "instance"), name="watched_once")],
            },
        ),
    ]
