// Package eventstore is the log: the only place where events are written, and
// where they are read from.
//
// # Appending
//
// [Log.Append] hands its request to a flusher. The flusher takes whatever came
// while the last batch was in flight, sends it as one call of the SQL function
// append_events, and gives every request its own outcome:
//
//	request ─┐
//	request ─┼─> queue ─> flusher ─> SELECT … FROM append_events(…) ─> outcome per request
//	request ─┘             (one round trip, one commit)
//
// Why: each commit costs a flush, and PostgreSQL makes commits that notify
// serial. One insert per request gave 4,800 requests/s at 32 connections and
// fell to 3,900 at 256; gathering gave 22,000 and rose to 30,000.
//
// A lone request is a batch of one and waits for nobody, unless others came just
// before. Where a few come at a time, the flusher waits for as many as there were
// lately, a millisecond at most: otherwise two clients take turns, each waiting for
// the other's batch. That made appends of 2, 4 and 8 clients 1.4, 1.2 and 1.3
// times as fast, and left a lone client's as they were. At a steady 2,000 events/s, where views need the machine
// too, who waits for a view saw the row after 5.2 ms and not 6.7, p99 12 and not 22.
//
// # Guarantees
//
// A request is recorded whole or not at all. A receipt means the transaction
// is committed (durable as far as the server's synchronous_commit says).
// Positions are 1..N without gaps in commit order: append_events takes them
// while it holds the lock of event_log_head, which PostgreSQL releases when the
// commit is visible. So whoever has read up to position N needs only to ask for
// what is greater, here and on a standby. Known ids are decided before versions,
// which makes a repeated request answer as the first one did.
//
// # Failures
//
// A refusal (a conflict, a reused id) is a [fault.Error] and touches only its
// own request. When the connection breaks in a commit nobody knows the outcome:
// the batch is sent once more with the same ids, which is safe because of them;
// if that fails too, all its requests fail with "unavailable" and may be
// repeated. A payload PostgreSQL will not take in spite of our checks is found
// by halving the batch, and fails alone.
//
// # Erasure
//
// Events are kept for ever, and people have the right to be forgotten. The
// program has no command for that; what this design allows is crypto-shredding:
// encrypt what is personal under a key of that person's own, and forget the key.
//
// Keys would be rows of a table beside the log (subject, key, erased_at), wrapped
// by a master key that the database does not have. A field that its event's
// definition marks as personal is encrypted after the payload was validated and
// before [Log.Append], so that the log holds {"subject": …, "sealed": …} in its
// place; it is decrypted where upcasters run (eventsourcing.Registry.Read), which
// is the one way from a stored event to a fold, a stream or an export. To erase is
// to delete the key and to append an event that says so: views, also those of
// other domains and of later rebuilds, drop what they hold because of that event,
// snapshots of the aggregate are deleted, and reading an old event gives a fixed
// word in place of each personal field.
//
// What must not be broken, so that this stays possible:
//
//   - Seals are over the stored bytes (event_digest), never over what they mean.
//     Then a forgotten key changes no event, and the chain, app verify and a seal
//     kept outside hold. For the same reason events are not encrypted anew.
//   - A known id is recognised by its payload, so encryption must be deterministic
//     for one event: the nonce comes from the key, the event's id and the field. A
//     random one would turn every repeated request into event-id-reused.
//   - Nothing outside the log but caches holds payloads: views, snapshots. They can
//     be made again from the log, and so also without what was forgotten. A new
//     table that keeps personal data and has no fold would escape.
//   - What is not encrypted names nobody: ids, aggregate ids, event names, actors,
//     metadata. Ids are random and not made from an address; the actor of a token
//     is its subject and should be a pseudonym. NOTIFY carries ids only.
//   - No plain hash of personal data is stored: who can guess a name can test it.
//     A hash of a request, as payments keep for their idempotency keys, would have
//     to be an HMAC under the subject's key.
//   - Payloads are in no log line and no error text, and no index is on them.
//   - Folds must not fail on the fixed word: a rule that a name is valid belongs to
//     what comes in, not to Evolve.
//   - An export holds what the log holds, so it is forgotten with the key. One with
//     plain text (--newest-schema), an SSE client's copy and a backup of the keys are
//     out of reach: backups of the keys must not outlive the promise to erase.
package eventstore
