DECLARE
  dropped record;
  made record;
BEGIN
  -- Who logged in is asked (session_user), not who they act as: SET ROLE and SECURITY DEFINER change nothing.
  -- Only a membership of their own counts, and one that is of use: the user that Vault logs in as is an indirect member
  -- through the users it issues, and from PostgreSQL 16 on a direct one with ADMIN alone; it must stay free to end them.
  -- The options are read through to_jsonb because 14 and 15 do not have them.
  IF NOT EXISTS (
    SELECT FROM pg_auth_members m
    JOIN pg_roles member ON member.oid = m.member
    JOIN pg_roles guarded ON guarded.oid = m.roleid
    WHERE member.rolname = session_user AND guarded.rolname = 'stepcreds_guarded' AND NOT member.rolsuper
      AND coalesce((to_jsonb(m) ->> 'set_option')::bool OR (to_jsonb(m) ->> 'inherit_option')::bool, true)
  ) THEN
    RETURN;
  END IF;
  IF tg_event = 'ddl_command_start' THEN
    RAISE EXCEPTION USING ERRCODE = 'insufficient_privilege',
      MESSAGE = format('stepcreds guard: %s may not run %s', session_user, tg_tag),
      HINT = 'Rights are changed by hand, or by a profile without the guard.';
  ELSIF tg_event = 'sql_drop' THEN
    FOR dropped IN SELECT * FROM pg_event_trigger_dropped_objects() LOOP
      -- What the next migration can make again as it was may go; anything else may not, also kinds yet unknown.
      IF dropped.original AND NOT dropped.is_temporary AND dropped.object_type NOT IN
        ('index', 'default value', 'table constraint', 'domain constraint', 'statistics object') THEN
        RAISE EXCEPTION USING ERRCODE = 'insufficient_privilege',
          MESSAGE = format('stepcreds guard: %s may not drop the %s %s',
            session_user, dropped.object_type, dropped.object_identity),
          HINT = 'Drop it by hand, or with a profile without the guard.';
      END IF;
    END LOOP;
  ELSIF tg_event = 'ddl_command_end' THEN
    FOR made IN SELECT * FROM pg_event_trigger_ddl_commands() LOOP
      -- CREATE SCHEMA runs what stands in it, and no start of that is told.
      IF made.command_tag IN ('GRANT', 'REVOKE', 'ALTER DEFAULT PRIVILEGES') AND NOT made.in_extension THEN
        RAISE EXCEPTION USING ERRCODE = 'insufficient_privilege',
          MESSAGE = format('stepcreds guard: %s may not run %s', session_user, made.command_tag),
          HINT = 'Rights are changed by hand, or by a profile without the guard.';
      END IF;
      IF made.classid = 'pg_proc'::regclass
        AND EXISTS (SELECT FROM pg_proc p WHERE p.oid = made.objid AND p.prosecdef) THEN
        RAISE EXCEPTION USING ERRCODE = 'insufficient_privilege',
          MESSAGE = format('stepcreds guard: %s may not make the SECURITY DEFINER function %s',
            session_user, made.object_identity),
          HINT = 'It would go on with the rights of its owner when the user is gone.';
      END IF;
    END LOOP;
  END IF;
END
