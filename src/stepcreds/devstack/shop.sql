-- A small shop: what a deployment pipeline works on. Run by a superuser in the empty database; everything belongs to
-- app_owner. Deterministic: two stacks hold the same rows.
CREATE ROLE app_owner NOLOGIN;
CREATE SCHEMA app AUTHORIZATION app_owner;
SET ROLE app_owner;
SET search_path = app;

CREATE TABLE customers (
  id    integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name  text NOT NULL,
  email text NOT NULL UNIQUE
);
CREATE TABLE orders (
  id          integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  customer_id integer NOT NULL REFERENCES customers,
  placed_on   date NOT NULL,
  status      text NOT NULL CHECK (status IN ('placed', 'paid', 'shipped'))
);
CREATE INDEX orders_customer_id ON orders (customer_id);
CREATE TABLE order_items (
  order_id    integer NOT NULL REFERENCES orders,
  line        integer NOT NULL,
  product     text NOT NULL,
  quantity    integer NOT NULL CHECK (quantity > 0),
  price_cents integer NOT NULL,
  PRIMARY KEY (order_id, line)
);

INSERT INTO customers (name, email)
SELECT 'Customer ' || n, 'customer' || n || '@example.com' FROM generate_series(1, 200) n;

INSERT INTO orders (customer_id, placed_on, status)
SELECT 1 + n * 7 % 200, date '2026-01-01' + n % 300, (ARRAY['placed', 'paid', 'shipped'])[1 + n % 3]
FROM generate_series(1, 1000) n;

INSERT INTO order_items (order_id, line, product, quantity, price_cents)
SELECT o, line, 'product-' || (o * 13 + line) % 50, 1 + (o + line) % 4, 500 + (o * 37 + line * 11) % 9500
FROM generate_series(1, 1000) o, generate_series(1, 3) line;

-- Named like scratch tables, and on staging that is what they are. Here partners deliver into them, and nothing else
-- holds what they have not been booked from yet.
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
