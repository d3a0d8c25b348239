from urllib.parse import urlsplit

from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor


def name_by_host(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """A webhook without a name had its address as one, for everybody to read."""
    for target in apps.get_model("agents", "AlertTarget").objects.filter(kind="webhook"):
        if target.label == target.address[:100]:
            target.label = (urlsplit(target.address).hostname or "webhook")[:100]
            target.save(update_fields=["label"])


class Migration(migrations.Migration):
    dependencies = [
        ("agents", "0018_daily_tests"),
    ]

    operations = [
        migrations.RunPython(name_by_host, migrations.RunPython.noop),
    ]
