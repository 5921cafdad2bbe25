-- What somebody adds to the pipeline one day, with the migration's profile. Dropping tables is a migration's to do:
-- nothing stops it. That is what the ledger is for.
\set ON_ERROR_STOP on
\echo tidying: nobody seems to use app.staging_returns
DROP TABLE app.staging_returns;
SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS gone \gset
\o missing.txt
\qecho :gone
