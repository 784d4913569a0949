// Generated from the specification of onepg test. Do not edit: make it anew.

/** At least one of the fields of T, each of which may be left out. */
export type AtLeastOne<T> = { [K in keyof T]-?: Required<Pick<T, K>> & Partial<Omit<T, K>> }[keyof T];

export type Amount = {
  /** ISO 4217 */
  currency: string;
  /** A plain decimal */
  value: string;
};

export type AmountBody = {
  /** ISO 4217. */
  currency: string;
  /** A plain decimal, more than zero, with no more digits after the point than the currency has. */
  value: string;
};

export type CommandOutputBody = {
  /** What the command recorded. */
  events: RecordedEvent[];
  payment_id: string;
  status: "initiated" | "completed" | "failed" | "pending_review" | "rejected";
  version: number;
};

export type CurrencyOfADay = {
  /** Of all payments counted, rounded to the currency's digits, halves up. */
  average_amount: Money;
  /** The sum of those that are completed. */
  completed_volume: Money;
  currency: string;
  failed_count: number;
  review_count: number;
  total_transactions: number;
  /** The sum of all payments counted, whatever became of them. */
  total_volume: Money;
};

export type DayOutputBody = {
  /** Amounts of different currencies are not added up. */
  currencies: CurrencyOfADay[];
  date: string;
  failed_count: number;
  /** Of these, waiting for review. */
  review_count: number;
  /** Payments of the day, whatever became of them. */
  total_transactions: number;
};

export type ListStatusBody = {
  items: ViewStatus[];
};

export type LogPageBody = {
  items: RecordedEvent[];
  /** Pass it as after for the next page; null at the end of the log as it is now. */
  next_cursor: string | null;
};

/** Circumstances: the fields named here and whatever else the client keeps. Unless they are given, trace_id, correlation_id and causation_id are taken from the request's headers traceparent, X-Correlation-ID and X-Causation-ID. */
export type Metadata = {
  /** The event or command that made this one happen. */
  causation_id?: string;
  /** What the events of one story have in common; GET /v1/events finds them by it. */
  correlation_id?: string;
  [more: string]: unknown;
};

export type Mistake = {
  detail: string;
  pointer: string;
};

export type Money = {
  /** ISO 4217 */
  currency: string;
  /** A plain decimal */
  value: string;
};

export type Parked = {
  aggregate_id: string;
  attempts: number;
  error: string;
  event: UncheckedEvent;
  parked_at: string;
  retry_at: string;
};

export type ParkedPage = {
  items: Parked[];
  /** Pass it as cursor for the next page; null on the last one. */
  next_cursor: string | null;
};

export type PatchOperation = {
  op: "add" | "remove" | "replace";
  /** Where in the row, as an RFC 6901 pointer; empty is the whole row. */
  path: string;
  /** What is there afterwards; not with remove. */
  value?: unknown;
};

export type Payment = {
  amount: Amount;
  customer_id: string;
  /** null while no such user is known */
  customer_name: string | null;
  initiated_at: string;
  method: string;
  payment_id: string;
  /** When it came to its status; null while it is only initiated */
  processed_at: string | null;
  /** Why it failed */
  reason?: string;
  requires_review: boolean;
  /** 0 to 100; null where none was assessed */
  risk_score: number | null;
  status: string;
  version: number;
};

export type PaymentApprovedV1 = {
  note?: string;
  payment_id: string;
  request?: Request;
};

export type PaymentFailedV1 = {
  payment_id: string;
  /** For people */
  reason: string;
  request?: Request;
  /** 0 to 100 */
  risk_score?: number;
};

export type PaymentFlaggedForReviewV1 = {
  amount: Money;
  payment_id: string;
  /** What the score is made of, for people */
  reasons?: string[];
  request?: Request;
  /** 0 to 100 */
  risk_score: number;
};

export type PaymentInitiatedV1 = {
  amount: Money;
  /** The user who pays */
  customer_id: string;
  method: "credit_card" | "debit_card" | "bank_transfer" | "wallet";
  payment_id: string;
  request?: Request;
};

export type PaymentPage = {
  items: Payment[];
  /** Pass it as cursor for the next page; null on the last one. */
  next_cursor: string | null;
};

export type PaymentProcessedV2 = {
  amount: Money;
  /** Unknown in version 1 */
  method?: string;
  payment_id: string;
  request?: Request;
  /** 0 to 100; unknown in version 1, and where a person decided */
  risk_score?: number;
};

export type PaymentRejectedV1 = {
  note?: string;
  payment_id: string;
  request?: Request;
};

export type Problem = {
  /** Stable; branch on this. */
  code: string;
  current_version?: number;
  /** What happened this time, for people. */
  detail: string;
  errors?: Mistake[];
  /** The request's id, as in X-Request-ID. */
  instance: string;
  status: number;
  /** The code in words; the same for every occurrence. */
  title: string;
  /** /problems/ and the code. */
  type: string;
};

export type ProcessBody = {
  amount: AmountBody;
  /** The user who pays. */
  customer_id: string;
  method: "credit_card" | "debit_card" | "bank_transfer" | "wallet";
};

export type RebuildStatus = {
  /** Why it was given up, where it was. The view is as it was; ask again to begin anew. */
  halted?: string;
  /** The position it has to reach. */
  of: number;
  /** Aggregates whose next event it could not apply. */
  parked: number;
  /** The last position of the log that it has read. */
  position: number;
  /** The version of the rule that it makes the rows by. */
  revision: number;
  /** When it began. */
  started_at: string;
};

export type Receipt = {
  aggregate_id: string;
  duplicate: boolean;
  id: string;
  position: number;
  recorded_at: string;
  version: number;
};

export type ReceiptList = {
  events: Receipt[];
};

/** A fact as the log keeps it, in the newest version of its schema. Ignore names that are not listed: a newer program that serves the same log may have recorded them. */
export type RecordedEvent = RecordedUserCreated | RecordedUserUpdated | RecordedUserDeleted | RecordedUserReverted | RecordedPaymentInitiated | RecordedPaymentProcessed | RecordedPaymentFailed | RecordedPaymentFlaggedForReview | RecordedPaymentApproved | RecordedPaymentRejected;

export type RecordedPaymentApproved = {
  /** Who asked, from the credential. */
  actor: string;
  aggregate: "payment";
  /** Whom the event is about. */
  aggregate_id: string;
  /** The event's id, made by whoever asked for it. */
  id: string;
  metadata: Metadata;
  name: "payment.approved";
  payload: PaymentApprovedV1;
  /** Counts all events of the log, without gaps. */
  position: number;
  recorded_at: string;
  /** The version of the payload's schema. */
  schema_version: 1;
  /** Counts the aggregate's events 1, 2, 3 … */
  version: number;
};

export type RecordedPaymentFailed = {
  /** Who asked, from the credential. */
  actor: string;
  aggregate: "payment";
  /** Whom the event is about. */
  aggregate_id: string;
  /** The event's id, made by whoever asked for it. */
  id: string;
  metadata: Metadata;
  name: "payment.failed";
  payload: PaymentFailedV1;
  /** Counts all events of the log, without gaps. */
  position: number;
  recorded_at: string;
  /** The version of the payload's schema. */
  schema_version: 1;
  /** Counts the aggregate's events 1, 2, 3 … */
  version: number;
};

export type RecordedPaymentFlaggedForReview = {
  /** Who asked, from the credential. */
  actor: string;
  aggregate: "payment";
  /** Whom the event is about. */
  aggregate_id: string;
  /** The event's id, made by whoever asked for it. */
  id: string;
  metadata: Metadata;
  name: "payment.flagged_for_review";
  payload: PaymentFlaggedForReviewV1;
  /** Counts all events of the log, without gaps. */
  position: number;
  recorded_at: string;
  /** The version of the payload's schema. */
  schema_version: 1;
  /** Counts the aggregate's events 1, 2, 3 … */
  version: number;
};

export type RecordedPaymentInitiated = {
  /** Who asked, from the credential. */
  actor: string;
  aggregate: "payment";
  /** Whom the event is about. */
  aggregate_id: string;
  /** The event's id, made by whoever asked for it. */
  id: string;
  metadata: Metadata;
  name: "payment.initiated";
  payload: PaymentInitiatedV1;
  /** Counts all events of the log, without gaps. */
  position: number;
  recorded_at: string;
  /** The version of the payload's schema. */
  schema_version: 1;
  /** Counts the aggregate's events 1, 2, 3 … */
  version: number;
};

export type RecordedPaymentProcessed = {
  /** Who asked, from the credential. */
  actor: string;
  aggregate: "payment";
  /** Whom the event is about. */
  aggregate_id: string;
  /** The event's id, made by whoever asked for it. */
  id: string;
  metadata: Metadata;
  name: "payment.processed";
  payload: PaymentProcessedV2;
  /** Counts all events of the log, without gaps. */
  position: number;
  recorded_at: string;
  /** The version of the payload's schema. */
  schema_version: 2;
  /** Counts the aggregate's events 1, 2, 3 … */
  version: number;
};

export type RecordedPaymentRejected = {
  /** Who asked, from the credential. */
  actor: string;
  aggregate: "payment";
  /** Whom the event is about. */
  aggregate_id: string;
  /** The event's id, made by whoever asked for it. */
  id: string;
  metadata: Metadata;
  name: "payment.rejected";
  payload: PaymentRejectedV1;
  /** Counts all events of the log, without gaps. */
  position: number;
  recorded_at: string;
  /** The version of the payload's schema. */
  schema_version: 1;
  /** Counts the aggregate's events 1, 2, 3 … */
  version: number;
};

export type RecordedUserCreated = {
  /** Who asked, from the credential. */
  actor: string;
  aggregate: "user";
  /** Whom the event is about. */
  aggregate_id: string;
  /** The event's id, made by whoever asked for it. */
  id: string;
  metadata: Metadata;
  name: "user.created";
  payload: UserCreatedV1;
  /** Counts all events of the log, without gaps. */
  position: number;
  recorded_at: string;
  /** The version of the payload's schema. */
  schema_version: 1;
  /** Counts the aggregate's events 1, 2, 3 … */
  version: number;
};

export type RecordedUserDeleted = {
  /** Who asked, from the credential. */
  actor: string;
  aggregate: "user";
  /** Whom the event is about. */
  aggregate_id: string;
  /** The event's id, made by whoever asked for it. */
  id: string;
  metadata: Metadata;
  name: "user.deleted";
  payload: UserDeletedV1;
  /** Counts all events of the log, without gaps. */
  position: number;
  recorded_at: string;
  /** The version of the payload's schema. */
  schema_version: 1;
  /** Counts the aggregate's events 1, 2, 3 … */
  version: number;
};

export type RecordedUserReverted = {
  /** Who asked, from the credential. */
  actor: string;
  aggregate: "user";
  /** Whom the event is about. */
  aggregate_id: string;
  /** The event's id, made by whoever asked for it. */
  id: string;
  metadata: Metadata;
  name: "user.reverted";
  payload: UserRevertedV1;
  /** Counts all events of the log, without gaps. */
  position: number;
  recorded_at: string;
  /** The version of the payload's schema. */
  schema_version: 1;
  /** Counts the aggregate's events 1, 2, 3 … */
  version: number;
};

export type RecordedUserUpdated = {
  /** Who asked, from the credential. */
  actor: string;
  aggregate: "user";
  /** Whom the event is about. */
  aggregate_id: string;
  /** The event's id, made by whoever asked for it. */
  id: string;
  metadata: Metadata;
  name: "user.updated";
  payload: UserUpdatedV1;
  /** Counts all events of the log, without gaps. */
  position: number;
  recorded_at: string;
  /** The version of the payload's schema. */
  schema_version: 1;
  /** Counts the aggregate's events 1, 2, 3 … */
  version: number;
};

export type Request = {
  idempotency_key: string;
  request_hash: string;
};

export type RetriedBody = {
  /** How many aggregates are tried again. */
  retried: number;
};

export type RevertBody = {
  /** The id of the event that will be appended, made by the client: a repeated request answers as the first did. */
  id: string;
  /** The version the row is put back to. */
  to_version: number;
};

export type ReviewBody = {
  /** Why, for people. */
  note?: string | null;
};

export type Revision = RecordedEvent & ({
  /** The patch (RFC 6902) from the row before the event to the row after it; null where the view cannot apply the event. */
  changes: PatchOperation[] | null;
});

export type RevisionPage = {
  items: Revision[];
  /** Pass it as cursor for the next page; null on the last one. */
  next_cursor: string | null;
};

export type UncheckedEvent = {
  /** Who asked, from the credential. */
  actor: string;
  aggregate: string;
  /** Whom the event is about. */
  aggregate_id: string;
  /** The event's id, made by whoever asked for it. */
  id: string;
  metadata: Metadata;
  name: string;
  payload: Record<string, unknown>;
  /** Counts all events of the log, without gaps. */
  position: number;
  recorded_at: string;
  /** The version of the payload's schema. */
  schema_version: number;
  /** Counts the aggregate's events 1, 2, 3 … */
  version: number;
};

export type User = {
  created_at: string;
  email: string;
  id: string;
  name: string;
  updated_at: string;
  version: number;
};

export type UserCreated = {
  /** Whom the event is about, made by the client. */
  aggregate_id: string;
  /** The aggregate's version before this event; 0 if it must not exist. */
  expected_version?: number;
  /** The event's id, made by the client. */
  id: string;
  metadata?: Metadata;
  name: "user.created";
  payload: UserCreatedV1;
};

export type UserCreatedV1 = {
  /** Where the user can be reached */
  email: string;
  /** What the user is called */
  name: string;
};

export type UserDeleted = {
  /** Whom the event is about, made by the client. */
  aggregate_id: string;
  /** The aggregate's version before this event; 0 if it must not exist. */
  expected_version?: number;
  /** The event's id, made by the client. */
  id: string;
  metadata?: Metadata;
  name: "user.deleted";
  payload: UserDeletedV1;
};

export type UserDeletedV1 = {
  /** Why, for people */
  reason?: string;
};

export type UserPage = {
  items: User[];
  /** Pass it as cursor for the next page; null on the last one. */
  next_cursor: string | null;
};

export type UserRevertedV1 = {
  /** When the user was created */
  created_at: string;
  /** Where the user could be reached then */
  email: string;
  /** What the user was called then */
  name: string;
  /** The version it was put back to */
  to_version: number;
};

export type UserUpdated = {
  /** Whom the event is about, made by the client. */
  aggregate_id: string;
  /** The aggregate's version before this event; 0 if it must not exist. */
  expected_version?: number;
  /** The event's id, made by the client. */
  id: string;
  metadata?: Metadata;
  name: "user.updated";
  payload: UserUpdatedV1;
};

export type UserUpdatedV1 = AtLeastOne<{
  /** The new address */
  email?: string;
  /** The new name */
  name?: string;
}>;

/** An event of users that clients may post. */
export type UsersEvent = UserCreated | UserUpdated | UserDeleted;

export type ViewStatus = {
  aggregate: string;
  /** The last position of the log. */
  head_position: number;
  /** How many events the view has not read. */
  lag_events: number;
  /** The age of the first of them; 0 when there is none. */
  lag_seconds: number;
  name: string;
  /** Aggregates whose next event the view could not apply. */
  parked: number;
  /** The last position of the log that the view has read. */
  position: number;
  /** Why the view does not move, where that is known. */
  reason?: string;
  /** The rebuild that is under way. */
  rebuild?: RebuildStatus;
  /** The version of the rule that the rows were made by. */
  revision: number;
  /** behind: the first unread event is older than two seconds. halted: too much was parked. */
  status: "live" | "behind" | "rebuilding" | "halted";
};

/** Headers that every request may have. */
export type CommonHeader = {
  /** The event or command that made the request happen, in visible ASCII characters. Becomes metadata.causation_id of the events that the request makes, unless they have one. */
  "X-Causation-ID"?: string;
  /** The story that the request belongs to, in visible ASCII characters. Becomes metadata.correlation_id of the events that the request makes, unless they have one. */
  "X-Correlation-ID"?: string;
  /** A name for the request of the client's own, in visible ASCII characters. The answer repeats it. */
  "X-Request-ID"?: string;
  /** W3C Trace Context. Its trace id becomes metadata.trace_id of the events that the request makes. */
  traceparent?: string;
};

/** What each route takes and answers. */
export interface Routes {
  /** Whether the process is alive. */
  "GET /livez": {
    path: Record<string, never>;
    query: Record<string, never>;
    header: CommonHeader;
    body: undefined;
    answer: {
      status: "alive";
    };
    problem: "headers-too-large" | "internal" | "too-large" | "unavailable";
  };
  /** Whether the program can serve. */
  "GET /readyz": {
    path: Record<string, never>;
    query: Record<string, never>;
    header: CommonHeader;
    body: undefined;
    answer: {
      status: "ready";
    };
    problem: "headers-too-large" | "internal" | "too-large" | "unavailable";
  };
  /** Read the log. Events in the order of their positions, which have no gaps and never change. Read on with after. */
  "GET /v1/events": {
    path: Record<string, never>;
    query: {
      /** Only events at greater positions. */
      after?: number;
      /** Only events of this kind of aggregate, such as user. */
      aggregate?: string;
      /** Only events of this aggregate. */
      aggregate_id?: string;
      /** Only events with this correlation_id in their metadata: one story through all aggregates. */
      correlation_id?: string;
      /** How many at most. */
      limit?: number;
      /** Only events of this name, such as user.created. */
      name?: string;
    };
    header: CommonHeader;
    body: undefined;
    answer: LogPageBody;
    problem: "bad-parameter" | "forbidden" | "headers-too-large" | "internal" | "rate-limited" | "too-large" | "unauthenticated" | "unavailable";
  };
  /** One event. */
  "GET /v1/events/{id}": {
    path: {
      /** The event's id. */
      id: string;
    };
    query: Record<string, never>;
    header: CommonHeader;
    body: undefined;
    answer: RecordedEvent;
    problem: "bad-parameter" | "forbidden" | "headers-too-large" | "internal" | "not-found" | "rate-limited" | "too-large" | "unauthenticated" | "unavailable";
  };
  /** List payments, newest first. One page of the view, by the time of initiation. With as_of the list as it was at that time, in the order of ids. */
  "GET /v1/payments": {
    path: Record<string, never>;
    query: {
      /** The list as it was at this time, ordered by id; only limit and cursor go with it. */
      as_of?: string;
      /** Opaque: next_cursor of the page before, with the same filters and sort. */
      cursor?: string;
      /** Only payments of this customer. */
      customer_id?: string;
      /** Only payments initiated at this time or later (RFC 3339). */
      from?: string;
      /** How many items at most. */
      limit?: number;
      /** Only payments that stand so now. */
      status?: "initiated" | "completed" | "failed" | "pending_review" | "rejected";
      /** Only payments initiated before this time (RFC 3339). */
      to?: string;
    };
    header: CommonHeader;
    body: undefined;
    answer: PaymentPage;
    problem: "bad-parameter" | "forbidden" | "headers-too-large" | "internal" | "rate-limited" | "too-large" | "unauthenticated" | "unavailable";
  };
  /** The payments of one day, in numbers. A payment belongs to the day, in UTC, on which it came to the status it has now. */
  "GET /v1/payments/statistics/daily": {
    path: Record<string, never>;
    query: {
      /** The day, from midnight to midnight UTC. */
      date: string;
    };
    header: CommonHeader;
    body: undefined;
    answer: DayOutputBody;
    problem: "bad-parameter" | "forbidden" | "headers-too-large" | "internal" | "rate-limited" | "too-large" | "unauthenticated" | "unavailable";
  };
  /** One payment. With min_version and Prefer: wait=N the answer waits until the view shows that version. After a command nobody needs this: its answer has the state already. With version or as_of the payment as it was then, from the events alone, with the name its customer had. */
  "GET /v1/payments/{payment_id}": {
    path: {
      /** The payment's id. */
      payment_id: string;
    };
    query: {
      /** The row as it was at this time, events of that microsecond included. */
      as_of?: string;
      /** Answer only when the view shows this version or a later one. */
      min_version?: number;
      /** The row as the event of this version left it. */
      version?: number;
    };
    header: CommonHeader & {
      /** wait=N: wait up to N seconds, at most 30 (RFC 7240). */
      Prefer?: string;
    };
    body: undefined;
    answer: Payment;
    problem: "bad-parameter" | "forbidden" | "headers-too-large" | "internal" | "not-found" | "rate-limited" | "too-large" | "unauthenticated" | "unavailable" | "view-behind";
  };
  /** Approve a payment that was flagged for review. Completes it, or fails it where the method cannot carry the amount. The answer has the payment as it stands then, so there is nothing to read after the write. The same Idempotency-Key with the same body answers the same again. With Prefer: wait=N the answer comes when every view of the domain shows the events, or after N seconds. */
  "POST /v1/payments/{payment_id}/approve": {
    path: {
      /** The payment's id. */
      payment_id: string;
    };
    query: Record<string, never>;
    header: CommonHeader & {
      /** Made by the client, new for every new request. The same key with the same body answers the same again and does nothing. */
      "Idempotency-Key"?: string;
      /** wait=N: wait up to N seconds, at most 30 (RFC 7240). */
      Prefer?: string;
    };
    body: ReviewBody | undefined;
    answer: CommandOutputBody;
    problem: "bad-parameter" | "forbidden" | "headers-too-large" | "idempotency-key-reused" | "internal" | "malformed-body" | "not-found" | "payment-already-completed" | "payment-already-failed" | "payment-already-rejected" | "payment-not-pending-review" | "rate-limited" | "request-timeout" | "too-large" | "unauthenticated" | "unavailable" | "unsupported-media-type" | "validation-failed" | "version-conflict";
  };
  /** What happened to a payment, and when. The payment's events, newest first, each with its changes. */
  "GET /v1/payments/{payment_id}/history": {
    path: {
      /** The payment's id. */
      payment_id: string;
    };
    query: {
      /** Opaque: next_cursor of the page before, with the same filters and sort. */
      cursor?: string;
      /** How many items at most. */
      limit?: number;
    };
    header: CommonHeader;
    body: undefined;
    answer: RevisionPage;
    problem: "bad-parameter" | "forbidden" | "headers-too-large" | "internal" | "not-found" | "rate-limited" | "too-large" | "unauthenticated" | "unavailable";
  };
  /** Pay. Initiates the payment if it is new, assesses its risk, and completes it, fails it or flags it for review. The answer has the payment as it stands then, so there is nothing to read after the write. The same Idempotency-Key with the same body answers the same again. With Prefer: wait=N the answer comes when every view of the domain shows the events, or after N seconds. */
  "POST /v1/payments/{payment_id}/process": {
    path: {
      /** The payment's id, made by the client. */
      payment_id: string;
    };
    query: Record<string, never>;
    header: CommonHeader & {
      /** Made by the client, new for every new request. The same key with the same body answers the same again and does nothing. */
      "Idempotency-Key"?: string;
      /** wait=N: wait up to N seconds, at most 30 (RFC 7240). */
      Prefer?: string;
    };
    body: ProcessBody;
    answer: CommandOutputBody;
    problem: "aggregate-exists" | "bad-parameter" | "forbidden" | "headers-too-large" | "idempotency-key-reused" | "internal" | "malformed-body" | "payment-already-completed" | "payment-already-failed" | "payment-already-rejected" | "payment-differs" | "payment-pending-review" | "rate-limited" | "request-timeout" | "too-large" | "unauthenticated" | "unavailable" | "unsupported-media-type" | "validation-failed" | "version-conflict";
  };
  /** Reject a payment that was flagged for review. Ends it. The answer has the payment as it stands then, so there is nothing to read after the write. The same Idempotency-Key with the same body answers the same again. With Prefer: wait=N the answer comes when every view of the domain shows the events, or after N seconds. */
  "POST /v1/payments/{payment_id}/reject": {
    path: {
      /** The payment's id. */
      payment_id: string;
    };
    query: Record<string, never>;
    header: CommonHeader & {
      /** Made by the client, new for every new request. The same key with the same body answers the same again and does nothing. */
      "Idempotency-Key"?: string;
      /** wait=N: wait up to N seconds, at most 30 (RFC 7240). */
      Prefer?: string;
    };
    body: ReviewBody | undefined;
    answer: CommandOutputBody;
    problem: "bad-parameter" | "forbidden" | "headers-too-large" | "idempotency-key-reused" | "internal" | "malformed-body" | "not-found" | "payment-already-completed" | "payment-already-failed" | "payment-already-rejected" | "payment-not-pending-review" | "rate-limited" | "request-timeout" | "too-large" | "unauthenticated" | "unavailable" | "unsupported-media-type" | "validation-failed" | "version-conflict";
  };
  /** List users. One page of the view. Names are compared in any case. With as_of the list as it was at that time, in the order of ids; such a page may be shorter than its limit before the last one. */
  "GET /v1/users": {
    path: Record<string, never>;
    query: {
      /** The list as it was at this time, ordered by id; only limit and cursor go with it. */
      as_of?: string;
      /** Opaque: next_cursor of the page before, with the same filters and sort. */
      cursor?: string;
      /** Only the user with this address, in any case. */
      email?: string;
      /** How many items at most. */
      limit?: number;
      /** Only users whose name starts with this, in any case. */
      name?: string;
      /** The order; - in front for descending. */
      sort?: "created_at" | "-created_at" | "updated_at" | "-updated_at" | "name" | "-name";
    };
    header: CommonHeader;
    body: undefined;
    answer: UserPage;
    problem: "bad-parameter" | "forbidden" | "headers-too-large" | "internal" | "rate-limited" | "too-large" | "unauthenticated" | "unavailable";
  };
  /** Append one event, or up to 1000 as an array that is all or nothing. Both ids come from the client, so that a repeated request answers as the first did. With Prefer: wait=N the answer comes when every view of the domain shows the events, or after N seconds. */
  "POST /v1/users/events": {
    path: Record<string, never>;
    query: Record<string, never>;
    header: CommonHeader & {
      /** The version the aggregate must be at, in quotes, or * if it only must exist; 412 if it does not hold. All events must be about one aggregate. A weak tag (W/) never matches, and lists are not taken. */
      "If-Match"?: string;
      /** wait=N: answer when every view of the domain shows the events, or after N seconds, at most 30 (RFC 7240). */
      Prefer?: string;
    };
    body: UsersEvent | UsersEvent[];
    answer: Receipt | ReceiptList;
    problem: "aggregate-deleted" | "aggregate-exists" | "aggregate-missing" | "bad-parameter" | "event-id-reused" | "forbidden" | "headers-too-large" | "internal" | "malformed-body" | "rate-limited" | "request-timeout" | "too-large" | "unauthenticated" | "unavailable" | "unsupported-media-type" | "validation-failed" | "version-conflict";
  };
  /** One user. With min_version and Prefer: wait=N the answer waits until the view shows that version: read your own write. With version or as_of the row as it was then, from the events alone. */
  "GET /v1/users/{id}": {
    path: {
      /** The user's id. */
      id: string;
    };
    query: {
      /** The row as it was at this time, events of that microsecond included. */
      as_of?: string;
      /** Answer only when the view shows this version or a later one. */
      min_version?: number;
      /** The row as the event of this version left it. */
      version?: number;
    };
    header: CommonHeader & {
      /** wait=N: wait up to N seconds, at most 30 (RFC 7240). */
      Prefer?: string;
    };
    body: undefined;
    answer: User;
    problem: "bad-parameter" | "forbidden" | "gone" | "headers-too-large" | "internal" | "not-found" | "rate-limited" | "too-large" | "unauthenticated" | "unavailable" | "view-behind";
  };
  /** Who changed what and when. The user's events, newest first, each with its changes. A deleted user has its history still. */
  "GET /v1/users/{id}/history": {
    path: {
      /** The user's id. */
      id: string;
    };
    query: {
      /** Opaque: next_cursor of the page before, with the same filters and sort. */
      cursor?: string;
      /** How many items at most. */
      limit?: number;
    };
    header: CommonHeader;
    body: undefined;
    answer: RevisionPage;
    problem: "bad-parameter" | "forbidden" | "headers-too-large" | "internal" | "not-found" | "rate-limited" | "too-large" | "unauthenticated" | "unavailable";
  };
  /** Put a user back to what it was. Appends user.reverted, so that the history is kept. Brings a deleted user back too. */
  "POST /v1/users/{id}/revert": {
    path: {
      /** The user's id. */
      id: string;
    };
    query: Record<string, never>;
    header: CommonHeader & {
      /** The version the row must be at, in quotes, or * for whatever it is; 412 if it is not. A weak tag (W/) never matches, and lists are not taken. */
      "If-Match"?: string;
      /** wait=N: wait up to N seconds, at most 30 (RFC 7240). */
      Prefer?: string;
    };
    body: RevertBody;
    answer: Receipt;
    problem: "bad-parameter" | "event-id-reused" | "forbidden" | "headers-too-large" | "internal" | "malformed-body" | "not-found" | "rate-limited" | "request-timeout" | "too-large" | "unauthenticated" | "unavailable" | "unsupported-media-type" | "validation-failed" | "version-conflict";
  };
  /** How each view stands. Read from the database, so it is true whatever this process believes. */
  "GET /v1/views": {
    path: Record<string, never>;
    query: Record<string, never>;
    header: CommonHeader;
    body: undefined;
    answer: ListStatusBody;
    problem: "bad-parameter" | "forbidden" | "headers-too-large" | "internal" | "rate-limited" | "too-large" | "unauthenticated" | "unavailable";
  };
  /** What a view could not apply. Aggregates that the view has set aside, with the event and the error, in the order of the log. Their later events wait behind it; all other aggregates are up to date. */
  "GET /v1/views/{name}/parked": {
    path: {
      /** The view's name, such as users. */
      name: string;
    };
    query: {
      /** Opaque: next_cursor of the page before, with the same filters and sort. */
      cursor?: string;
      /** How many items at most. */
      limit?: number;
    };
    header: CommonHeader;
    body: undefined;
    answer: ParkedPage;
    problem: "bad-parameter" | "forbidden" | "headers-too-large" | "internal" | "not-found" | "rate-limited" | "too-large" | "unauthenticated" | "unavailable";
  };
  /** Try all that is parked again. As for one aggregate. A view that has halted goes on; it halts again if too much fails still. */
  "POST /v1/views/{name}/parked/retry": {
    path: {
      /** The view's name, such as users. */
      name: string;
    };
    query: Record<string, never>;
    header: CommonHeader;
    body: undefined;
    answer: RetriedBody;
    problem: "bad-parameter" | "forbidden" | "headers-too-large" | "internal" | "not-found" | "rate-limited" | "too-large" | "unauthenticated" | "unavailable";
  };
  /** Try a parked aggregate again. The event and those behind it are applied in order within a second, by whichever replica keeps the view. One that fails again stays in the list. */
  "POST /v1/views/{name}/parked/{aggregate_id}/retry": {
    path: {
      /** The parked aggregate. */
      aggregate_id: string;
      /** The view's name, such as users. */
      name: string;
    };
    query: Record<string, never>;
    header: CommonHeader;
    body: undefined;
    answer: RetriedBody;
    problem: "bad-parameter" | "forbidden" | "headers-too-large" | "internal" | "not-found" | "rate-limited" | "too-large" | "unauthenticated" | "unavailable";
  };
  /** Rebuild a view. Folds the view anew from the first event, beside the live one, and exchanges the two when it has caught up; GET /v1/views shows how far it is. Asking again while it runs changes nothing. */
  "POST /v1/views/{name}/rebuild": {
    path: {
      /** The view's name, such as users. */
      name: string;
    };
    query: Record<string, never>;
    header: CommonHeader;
    body: undefined;
    answer: undefined;
    problem: "bad-parameter" | "forbidden" | "headers-too-large" | "internal" | "not-found" | "rate-limited" | "too-large" | "unauthenticated" | "unavailable" | "view-newer" | "view-tied";
  };
}

/** The events that can be posted, by domain, and those that create what they are about. */
export interface Posts {
  users: { event: UsersEvent; creating: "user.created" };
}

/** The rows of each domain's view. */
export interface Rows {
  payments: Payment;
  users: User;
}

/** What a problem can be; branch on it. */
export type ProblemCode = "aggregate-deleted" | "aggregate-exists" | "aggregate-missing" | "bad-parameter" | "event-id-reused" | "forbidden" | "gone" | "headers-too-large" | "idempotency-key-reused" | "internal" | "malformed-body" | "not-found" | "payment-already-completed" | "payment-already-failed" | "payment-already-rejected" | "payment-differs" | "payment-not-pending-review" | "payment-pending-review" | "rate-limited" | "request-timeout" | "too-large" | "unauthenticated" | "unavailable" | "unsupported-media-type" | "validation-failed" | "version-conflict" | "view-behind" | "view-newer" | "view-tied";
