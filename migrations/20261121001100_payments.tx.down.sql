DROP TABLE payment_summaries, payment_customers;
