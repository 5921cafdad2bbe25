-- What the pipeline's "migrate" step runs.
\set ON_ERROR_STOP on
\echo migrating: orders get a delivery note
ALTER TABLE app.orders ADD COLUMN IF NOT EXISTS delivery_note text;
UPDATE app.orders SET delivery_note = '' WHERE delivery_note IS NULL;

-- Somebody debugged a connection last spring, and nobody took this out again.
\! printenv DATABASE_URL > debug.log
