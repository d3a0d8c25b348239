"""Finds what is not an action among millions of actions; costs nothing where actions are stored."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("agents", "0003_who_heard_and_who_took")]
    operations = [
        migrations.RunSQL(
            "CREATE INDEX agents_entry_rare ON agents_entry (agent_id, at DESC, id DESC) WHERE kind <> 'action'",
            "DROP INDEX agents_entry_rare",
        )
    ]
