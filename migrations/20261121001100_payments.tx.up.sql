-- The views of the payments domain: one row per payment, and one per customer
-- for the name that goes with it.
CREATE TABLE payment_summaries (
    payment_id      uuid        NOT NULL,
    customer_id     uuid        NOT NULL,
    amount          numeric     NOT NULL,
    currency        text        NOT NULL,
    method          text        NOT NULL,
    status          text        NOT NULL,
    risk_score      integer,
    requires_review boolean     NOT NULL,
    reason          text,
    version         integer     NOT NULL,
    initiated_at    timestamptz NOT NULL,
    processed_at    timestamptz,
    CONSTRAINT payment_summaries_pkey PRIMARY KEY (payment_id)
);

-- One index per way that GET /v1/payments selects, each in the order of the
-- list and ending in the id that makes the order total.
CREATE INDEX payment_summaries_initiated_at_idx ON payment_summaries (initiated_at, payment_id);
CREATE INDEX payment_summaries_customer_id_idx ON payment_summaries (customer_id, initiated_at, payment_id);
CREATE INDEX payment_summaries_status_idx ON payment_summaries (status, initiated_at, payment_id);

-- Why INCLUDE: a day's statistics are read from the index alone.
CREATE INDEX payment_summaries_processed_at_idx ON payment_summaries (processed_at)
    INCLUDE (currency, amount, status, requires_review);

CREATE TABLE payment_customers (
    id      uuid    NOT NULL,
    name    text    NOT NULL,
    version integer NOT NULL,
    CONSTRAINT payment_customers_pkey PRIMARY KEY (id)
);
