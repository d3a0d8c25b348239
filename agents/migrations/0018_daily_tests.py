from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("agents", "0017_quiet_hours"),
    ]

    operations = [
        migrations.AddField(
            model_name="alerttarget",
            name="daily_hour",
            field=models.PositiveSmallIntegerField(null=True),
        ),
        migrations.AddField(
            model_name="alerttarget",
            name="failed_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name="alerttarget",
            name="failed_why",
            field=models.CharField(blank=True, db_default="", default="", max_length=300),
        ),
        migrations.AddField(
            model_name="alerttarget",
            name="heard_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.AlterField(
            model_name="outbox",
            name="about",
            field=models.CharField(
                choices=[
                    ("opened", "Opened"),
                    ("again", "Again"),
                    ("unseen", "Unseen"),
                    ("assigned", "Assigned"),
                    ("joined", "Joined"),
                    ("closed", "Closed"),
                    ("resolved", "Resolved"),
                    ("changed", "Changed"),
                    ("test", "Test"),
                    ("daily", "Daily"),
                    ("broken", "Broken"),
                ],
                default="opened",
                max_length=10,
            ),
        ),
    ]
