"""SQL: whether a probe role can have a function called that it may not name itself, because something names it already.

Names are looked up once, when a view, a policy or a default is made: whoever uses these later needs USAGE of their
schema alone. The server notes what is made of what in pg_depend, so that is followed from the function upwards, as far
as something that the role may use. Source: PostgreSQL's documentation, "System Catalogs", pg_depend.
"""

from __future__ import annotations

from typing import Final

# A table of one's own takes over, with LIKE, another's defaults, checks, indexes, statistics and types of columns.
MAKES_TABLES: Final = """(has_database_privilege(p.oid, current_database(), 'TEMPORARY')
  OR EXISTS (SELECT FROM pg_namespace w WHERE has_schema_privilege(p.oid, w.oid, 'CREATE')))"""

# What depends on what was found before (d), as what it takes to use it (event): of a relation to SELECT, UPDATE, INSERT
# or DELETE from it (1 to 4; with r, w, a, d, * by a policy, which asks other roles other things, so that nothing is
# found through it), or to fill it or to make one like it (c); of a type to use it (k), to have a table of it (t), or to
# sort values of it (o).
_STEPS: Final = """
  SELECT d.classid, d.objid, 'x' WHERE d.classid IN ('pg_proc'::regclass, 'pg_operator'::regclass, 'pg_cast'::regclass)
    AND s.event IN ('x', 'k', '1')
  UNION ALL
  SELECT 'pg_class'::regclass, r.ev_class, r.ev_type::text FROM pg_rewrite r
  WHERE d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid AND s.event IN ('x', 'k', '1')
  UNION ALL
  SELECT 'pg_class'::regclass, a.adrelid, 'c' FROM pg_attrdef a
  WHERE d.classid = 'pg_attrdef'::regclass AND a.oid = d.objid AND s.event IN ('x', 'k')
  UNION ALL
  SELECT CASE k.contypid WHEN 0 THEN 'pg_class'::regclass ELSE 'pg_type'::regclass END,
    CASE k.contypid WHEN 0 THEN k.conrelid ELSE k.contypid END, CASE k.contypid WHEN 0 THEN 'c' ELSE 'k' END
  FROM pg_constraint k WHERE d.classid = 'pg_constraint'::regclass AND k.oid = d.objid AND s.event IN ('x', 'k')
  UNION ALL
  SELECT 'pg_class'::regclass, coalesce(i.indrelid, c.oid), CASE s.event WHEN 'o' THEN '1' ELSE 'c' END FROM pg_class c
  LEFT JOIN pg_index i ON i.indexrelid = c.oid
  WHERE d.classid = 'pg_class'::regclass AND c.oid = d.objid AND s.event IN ('x', 'k', 't', 'o')
  UNION ALL
  SELECT 'pg_class'::regclass, e.stxrelid, 'c' FROM pg_statistic_ext e
  WHERE d.classid = 'pg_statistic_ext'::regclass AND e.oid = d.objid AND s.event IN ('x', 'k')
  UNION ALL
  SELECT 'pg_class'::regclass, y.polrelid, y.polcmd::text FROM pg_policy y JOIN pg_class c ON c.oid = y.polrelid
  WHERE d.classid = 'pg_policy'::regclass AND y.oid = d.objid AND s.event IN ('x', 'k', '1') AND c.relrowsecurity
    AND EXISTS (SELECT FROM unnest(y.polroles) AS o(oid)
      WHERE CASE o.oid WHEN 0 THEN true ELSE pg_has_role(p.oid, o.oid, 'USAGE') END)
  UNION ALL
  SELECT 'pg_type'::regclass, t.oid, CASE WHEN t.typtype = 'd' AND s.class <> 'pg_type'::regclass THEN 't'
    ELSE s.event END FROM pg_type t
  WHERE d.classid = 'pg_type'::regclass AND t.oid = d.objid AND s.class <> 'pg_class'::regclass
  UNION ALL
  SELECT CASE WHEN o.opcdefault THEN 'pg_type'::regclass ELSE 'pg_opclass'::regclass END,
    CASE WHEN o.opcdefault THEN o.opcintype ELSE o.oid END, CASE WHEN o.opcdefault THEN 'o' ELSE 'x' END
  FROM pg_opclass o WHERE o.opcfamily = CASE d.classid
    WHEN 'pg_amproc'::regclass THEN (SELECT m.amprocfamily FROM pg_amproc m WHERE m.oid = d.objid)
    WHEN 'pg_amop'::regclass THEN (SELECT m.amopfamily FROM pg_amop m WHERE m.oid = d.objid) END"""

_USED: Final = f"""CASE s.class
  WHEN 'pg_proc'::regclass THEN EXISTS (SELECT FROM pg_proc g WHERE g.oid = s.oid
    AND has_schema_privilege(p.oid, g.pronamespace, 'USAGE') AND has_function_privilege(p.oid, g.oid, 'EXECUTE'))
  WHEN 'pg_operator'::regclass THEN EXISTS (SELECT FROM pg_operator o WHERE o.oid = s.oid
    AND has_schema_privilege(p.oid, o.oprnamespace, 'USAGE'))
  WHEN 'pg_cast'::regclass THEN true
  WHEN 'pg_type'::regclass THEN EXISTS (SELECT FROM pg_type t WHERE t.oid = s.oid
    AND has_schema_privilege(p.oid, t.typnamespace, 'USAGE') AND (s.event <> 't' OR {MAKES_TABLES}))
  WHEN 'pg_opclass'::regclass THEN EXISTS (SELECT FROM pg_opclass o WHERE o.oid = s.oid
    AND has_schema_privilege(p.oid, o.opcnamespace, 'USAGE')) AND {MAKES_TABLES}
  ELSE EXISTS (SELECT FROM pg_class t WHERE t.oid = s.oid AND has_schema_privilege(p.oid, t.relnamespace, 'USAGE')
    AND CASE WHEN s.event IN ('1', 'r') THEN has_any_column_privilege(p.oid, t.oid, 'SELECT')
      WHEN s.event IN ('2', 'w') THEN has_any_column_privilege(p.oid, t.oid, 'UPDATE')
      WHEN s.event IN ('3', 'a') THEN has_any_column_privilege(p.oid, t.oid, 'INSERT')
      WHEN s.event IN ('4', 'd') THEN has_table_privilege(p.oid, t.oid, 'DELETE')
      WHEN s.event = '*' THEN has_any_column_privilege(p.oid, t.oid, 'SELECT, INSERT, UPDATE')
        OR has_table_privilege(p.oid, t.oid, 'DELETE')
      ELSE has_any_column_privilege(p.oid, t.oid, 'INSERT, UPDATE')
        OR (has_table_privilege(p.oid, t.oid, 'SELECT') AND {MAKES_TABLES}) END) END"""  # noqa: S608

# What a function is called by is asked for EXECUTE on it each time; but of the parts of an aggregate its owner is, and
# of those of an operator class nobody.
_MAY_STEP: Final = """CASE WHEN s.class = 'pg_proc'::regclass AND d.classid <> 'pg_amproc'::regclass THEN
    has_function_privilege(p.oid, s.oid, 'EXECUTE') OR (d.classid = 'pg_proc'::regclass AND EXISTS (
      SELECT FROM pg_proc g WHERE g.oid = d.objid AND g.prokind = 'a'
      AND has_function_privilege(g.proowner, s.oid, 'EXECUTE')))
  WHEN s.class = 'pg_class'::regclass AND d.classid <> 'pg_rewrite'::regclass THEN
    has_any_column_privilege(p.oid, s.oid, 'SELECT')
  ELSE true END"""

# Of the function f and the probe role p.
CALLED: Final = f"""EXISTS (
  SELECT FROM pg_depend d WHERE d.refclassid = 'pg_proc'::regclass AND d.refobjid = f.oid AND d.deptype <> 'e'
) AND EXISTS (
  WITH RECURSIVE named(class, oid, event) AS (
    SELECT 'pg_proc'::regclass::oid, f.oid, 'x'
    UNION
    SELECT n.class, n.oid, n.event FROM named s
    JOIN pg_depend d ON d.refclassid = s.class AND d.refobjid = s.oid
      -- Also arrays of a type, and, before PostgreSQL 15, columns that are generated.
      AND CASE d.classid WHEN 'pg_type'::regclass THEN d.deptype = 'n' OR s.class = 'pg_type'::regclass
        WHEN 'pg_class'::regclass THEN d.deptype = 'n' OR (s.class <> 'pg_class'::regclass AND d.objsubid > 0)
        ELSE d.deptype = 'n' END
    CROSS JOIN LATERAL ({_STEPS}) AS n(class, oid, event)
    WHERE s.event IN ('x', 'k', 't', 'o', '1') AND {_MAY_STEP}
  )
  SELECT FROM named s WHERE s.oid <> f.oid AND {_USED})"""  # noqa: S608 - words of our own
