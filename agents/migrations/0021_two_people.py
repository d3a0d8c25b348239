import uuid

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("agents", "0020_audit_head"),
    ]

    operations = [
        migrations.AddField(
            model_name="agent",
            name="proves_anew",
            field=models.BooleanField(default=False),
        ),
        migrations.AddField(
            model_name="agent",
            name="two_people",
            field=models.BooleanField(default=False),
        ),
        migrations.CreateModel(
            name="Proposal",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, primary_key=True, serialize=False)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("waiting", "Waiting"),
                            ("confirmed", "Confirmed"),
                            ("declined", "Declined"),
                            ("lapsed", "Lapsed"),
                            ("stale", "Stale"),
                        ],
                        default="waiting",
                        max_length=10,
                    ),
                ),
                (
                    "verb",
                    models.CharField(
                        choices=[
                            ("resume", "Resume"),
                            ("rollback", "Rollback"),
                            ("stop", "Stop"),
                            ("start", "Start"),
                        ],
                        max_length=10,
                    ),
                ),
                ("version", models.BigIntegerField()),
                ("words", models.JSONField(default=dict)),
                ("targets", models.JSONField(default=dict)),
                ("by", models.CharField(max_length=200)),
                ("at", models.DateTimeField()),
                ("lapses_at", models.DateTimeField()),
                ("settled_by", models.CharField(blank=True, max_length=200)),
                ("settled_at", models.DateTimeField(null=True)),
                ("why", models.CharField(blank=True, max_length=500)),
                (
                    "incident",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="proposals",
                        to="agents.incident",
                    ),
                ),
                (
                    "person",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("state", "waiting")),
                        fields=("incident",),
                        name="one_proposal_waits",
                    )
                ],
            },
        ),
    ]
