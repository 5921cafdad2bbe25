-- What the pipeline's "verify" step runs after every migration: it has to read, and nothing more.
\set ON_ERROR_STOP on
SELECT count(*) AS orders, count(delivery_note) AS noted FROM app.orders \gset
\echo verifying: :noted of :orders orders have a delivery note

-- On staging the tables below are scratch; tidy up for the next run.
\getenv staging STAGING
\if :{?staging}
\echo STAGING is set: dropping the temporary staging tables
-- READ WRITE, so that it is the missing right that stops a read-only user, not just its default for transactions.
BEGIN READ WRITE;
DROP TABLE app.staging_orders, app.staging_payments, app.staging_returns;
COMMIT;
\endif
