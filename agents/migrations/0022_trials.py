import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("agents", "0021_two_people"),
    ]

    operations = [
        migrations.CreateModel(
            name="Trial",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("trying", "Trying"),
                            ("passed", "Passed"),
                            ("failed", "Failed"),
                            ("ended", "Ended"),
                        ],
                        default="trying",
                        max_length=10,
                    ),
                ),
                ("first", models.JSONField(default=list)),
                ("rest", models.JSONField(default=list)),
                ("tool", models.CharField(blank=True, max_length=200)),
                ("passed", models.PositiveIntegerField(default=0)),
                ("reason", models.CharField(max_length=500)),
                ("guidance", models.TextField(blank=True)),
                ("by", models.CharField(max_length=200)),
                ("at", models.DateTimeField()),
                ("ended_at", models.DateTimeField(null=True)),
                ("why", models.CharField(blank=True, max_length=500)),
                (
                    "agent",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="agents.agent"
                    ),
                ),
                (
                    "incident",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="trials",
                        to="agents.incident",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("state", "trying")),
                        fields=("incident",),
                        name="one_trial_at_a_time",
                    )
                ],
            },
        ),
    ]
