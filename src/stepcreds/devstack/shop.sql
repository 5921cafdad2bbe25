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

RESET search_path;
RESET ROLE;
