// Package migrations is the whole history of the database schema, kernel and
// domains, in the order of its file names. The files are part of the binary, so
// a release carries exactly the schema it needs.
//
// A migration is two files, YYYYMMDDHHMMSS_name.tx.up.sql and .tx.down.sql,
// with the time in UTC; "app migrate create NAME" writes them. "tx" means that
// each file runs in one transaction of its own, together with the note that it
// ran. A file without it (CREATE INDEX CONCURRENTLY needs that) may be killed
// half way and must be safe to run again. "--bun:split" on a line of its own
// cuts a file into statements that are sent one by one.
//
// The rules, which tests hold:
//
//   - A released migration is never edited; a mistake is corrected by the next.
//   - Down undoes up: up, down, up gives the same schema as up.
//   - Old and new binaries run side by side while a release rolls out, so a
//     migration only adds what the old one can ignore, and removes only what no
//     running binary uses any more.
//   - No long lock on a table in use. The lock_timeout of two seconds is there
//     to be kept, not to be raised.
package migrations

import "embed"

// FS holds the migration files, flat at its root.
//
//go:embed *.sql
var FS embed.FS
