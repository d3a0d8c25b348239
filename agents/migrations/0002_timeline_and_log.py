"""What the ORM cannot say: the partitioned timeline, the append-only log, the hot heartbeats."""

from django.db import migrations

FORWARD = """
CREATE TABLE agents_entry (
    at timestamptz NOT NULL, received_at timestamptz NOT NULL,
    id text COLLATE "C" NOT NULL,
    project_id bigint NOT NULL, agent_id bigint NOT NULL, instance_id bigint,
    run_id uuid, seq bigint, late boolean NOT NULL DEFAULT false, digest bytea,
    kind text NOT NULL, name text NOT NULL DEFAULT '', outcome text NOT NULL DEFAULT '',
    verdict text NOT NULL DEFAULT '', group_id bigint, ref text NOT NULL DEFAULT '',
    title text NOT NULL DEFAULT '', body text NOT NULL DEFAULT '{}'
) PARTITION BY RANGE (at);
CREATE INDEX agents_entry_agent ON agents_entry (agent_id, at DESC, id DESC);
CREATE INDEX agents_entry_run ON agents_entry (run_id, seq) WHERE run_id IS NOT NULL;
CREATE INDEX agents_entry_group ON agents_entry (agent_id, group_id, at DESC) WHERE group_id IS NOT NULL;
CREATE TABLE agents_entry_default PARTITION OF agents_entry DEFAULT;

-- Makes the partitions of the days in [first, last]; a day that already has rows in DEFAULT stays there.
CREATE FUNCTION agents_entry_days(first date, last date) RETURNS int LANGUAGE plpgsql AS $$
DECLARE day date; made int := 0; part text;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('agents_entry_days'));
    FOR day IN SELECT generate_series(first, last, interval '1 day')::date LOOP
        part := 'agents_entry_' || to_char(day, 'YYYYMMDD');
        IF to_regclass(part) IS NULL AND NOT EXISTS (
            SELECT 1 FROM agents_entry_default
            WHERE at >= day::timestamp AT TIME ZONE 'UTC' AND at < (day + 1)::timestamp AT TIME ZONE 'UTC'
        ) THEN
            EXECUTE format('CREATE TABLE %I PARTITION OF agents_entry FOR VALUES FROM (%L) TO (%L)', part,
                day::timestamp AT TIME ZONE 'UTC', (day + 1)::timestamp AT TIME ZONE 'UTC');
            made := made + 1;
        END IF;
    END LOOP;
    RETURN made;
END $$;
SELECT agents_entry_days((now() AT TIME ZONE 'UTC')::date - 1, (now() AT TIME ZONE 'UTC')::date + 7);

CREATE FUNCTION agents_audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'the audit log is append-only'; END $$;
CREATE TRIGGER agents_audit_append_only BEFORE UPDATE OR DELETE ON agents_auditentry
    FOR EACH ROW EXECUTE FUNCTION agents_audit_is_append_only();
CREATE TRIGGER agents_audit_no_truncate BEFORE TRUNCATE ON agents_auditentry
    FOR EACH STATEMENT EXECUTE FUNCTION agents_audit_is_append_only();

ALTER TABLE agents_heartbeat SET (fillfactor = 50);
"""
BACKWARD = """
DROP TABLE agents_entry; DROP FUNCTION agents_entry_days;
DROP TRIGGER agents_audit_append_only ON agents_auditentry;
DROP TRIGGER agents_audit_no_truncate ON agents_auditentry; DROP FUNCTION agents_audit_is_append_only;
"""


class Migration(migrations.Migration):
    dependencies = [("agents", "0001_initial")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
