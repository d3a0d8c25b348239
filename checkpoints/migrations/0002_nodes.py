"""What the ORM cannot say: the table of nodes, and that encoded bytes are not packed a second time."""

from django.db import migrations

FORWARD = """
CREATE TABLE checkpoints_node (
    length bigint NOT NULL, project_id int NOT NULL, items int NOT NULL, plain int NOT NULL, crc int NOT NULL,
    depth smallint NOT NULL, enc smallint NOT NULL, kind smallint NOT NULL, height smallint NOT NULL,
    hash bytea NOT NULL, base bytea, body bytea STORAGE EXTERNAL NOT NULL,
    PRIMARY KEY (project_id, hash)
) WITH (toast_tuple_target = 8160);
ALTER TABLE checkpoints_checkpoint ALTER root_body SET STORAGE EXTERNAL;
"""
BACKWARD = "DROP TABLE checkpoints_node;"


class Migration(migrations.Migration):
    dependencies = [("checkpoints", "0001_initial")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
