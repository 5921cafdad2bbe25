-- The shop's three tables that are named like scratch tables, which is what they are on staging. Here partners deliver
-- into them, and nothing else holds what has not been booked yet. Run by a superuser after shop.sql, and again by the
-- demo after it has shown them dropped.
SET ROLE app_owner;
SET search_path = app;

CREATE TABLE staging_orders (
  partner     text NOT NULL,
  reference   text NOT NULL,
  received_at timestamptz NOT NULL,
  body        jsonb NOT NULL,
  PRIMARY KEY (partner, reference)
);
CREATE TABLE staging_payments (
  reference    text PRIMARY KEY,
  received_at  timestamptz NOT NULL,
  amount_cents integer NOT NULL
);
CREATE TABLE staging_returns (
  reference   text PRIMARY KEY,
  received_at timestamptz NOT NULL,
  reason      text NOT NULL
);

INSERT INTO staging_orders
SELECT 'partner-' || n % 5, 'R' || n, timestamptz '2026-11-01 00:00+00' + n * interval '7 minutes',
       jsonb_build_object('product', 'product-' || n % 50, 'quantity', 1 + n % 4)
FROM generate_series(1, 412) n;
INSERT INTO staging_payments
SELECT 'P' || n, timestamptz '2026-11-01 00:00+00' + n * interval '11 minutes', 500 + n * 37 % 9500
FROM generate_series(1, 268) n;
INSERT INTO staging_returns
SELECT 'X' || n, timestamptz '2026-11-01 00:00+00' + n * interval '2 hours', 'damaged'
FROM generate_series(1, 39) n;

RESET search_path;
RESET ROLE;
