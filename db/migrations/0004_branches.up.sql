ALTER TABLE messages ADD COLUMN branch_from integer;
--> statement-breakpoint
UPDATE messages SET branch_from = branches.branch_from
FROM (
  SELECT linked.id, coalesce(parents.seq, 0) AS branch_from
  FROM (
    SELECT id, parent_id, lag(id) OVER (PARTITION BY session_id ORDER BY seq) AS before_id FROM messages
  ) AS linked
  LEFT JOIN messages AS parents ON parents.id = linked.parent_id
  WHERE linked.before_id IS NOT NULL AND linked.parent_id IS DISTINCT FROM linked.before_id
    AND (linked.parent_id IS NULL OR parents.id IS NOT NULL)
) AS branches
WHERE branches.id = messages.id;
--> statement-breakpoint
CREATE INDEX messages_branches ON messages (session_id, seq) WHERE branch_from IS NOT NULL;
