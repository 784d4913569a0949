// What has to compile, and on lines after @ts-expect-error what must not.
import { Client, isProblem, ProblemError, uuidv7 } from "onepg-client";
import type { Draft, Receipt, RecordedEvent, User } from "onepg-client";

const api = new Client({ baseUrl: "http://localhost:8080", token: () => "key" });
const id = uuidv7();
const payload = { name: "Ada Lovelace", email: "ada@example.com" };

export async function appends(): Promise<void> {
  const one: Receipt = await api.append("users", { name: "user.created", payload });
  const many: Receipt[] = await api.append("users", [
    { id, aggregate_id: id, name: "user.created", payload, expected_version: 0, metadata: { correlation_id: "story", mine: 1 } },
    { aggregate_id: id, name: "user.updated", payload: { name: "Ada King" } },
    { aggregate_id: id, name: "user.deleted", payload: {} },
  ]);
  await api.append("users", { name: "user.updated", aggregate_id: one.aggregate_id, payload: { email: "a@example.com" } }, { ifMatch: 1, wait: 5 });
  const drafts: Draft<"users">[] = [{ name: "user.created", payload }];
  await api.append("users", drafts);
  console.log(many);

  // @ts-expect-error an unknown event
  await api.append("users", { name: "user.born", payload });
  // @ts-expect-error an event that only the server records
  await api.append("users", { name: "user.reverted", aggregate_id: id, payload });
  // @ts-expect-error a field is missing
  await api.append("users", { name: "user.created", payload: { name: "Ada" } });
  // @ts-expect-error a field of another type
  await api.append("users", { name: "user.created", payload: { name: "Ada", email: 1 } });
  // @ts-expect-error a field that does not exist
  await api.append("users", { name: "user.created", payload: { ...payload, phone: "1" } });
  // @ts-expect-error another event's payload
  await api.append("users", { name: "user.created", aggregate_id: id, payload: { reason: "no" } });
  // @ts-expect-error an update of nobody
  await api.append("users", { name: "user.updated", payload: { name: "Ada" } });
  // @ts-expect-error an update of nothing
  await api.append("users", { name: "user.updated", aggregate_id: id, payload: {} });
  // @ts-expect-error what the server sets
  await api.append("users", { name: "user.created", payload, actor: "me" });
  // @ts-expect-error a domain whose events cannot be posted
  await api.append("payments", { name: "payment.processed", payload });
  // @ts-expect-error one of an array is wrong
  await api.append("users", [{ name: "user.created", payload }, { name: "user.created", payload: {} }]);
}

export function narrows(event: RecordedEvent): string {
  switch (event.name) {
    case "user.created":
      // @ts-expect-error a creation has no reason
      console.log(event.payload.reason);
      return event.payload.email;
    case "user.updated":
      // @ts-expect-error it may be missing
      return event.payload.email;
    case "payment.processed":
      return event.payload.amount.value + String(event.schema_version satisfies 2);
    case "user.deleted":
    case "user.reverted":
    case "payment.approved":
    case "payment.failed":
    case "payment.flagged_for_review":
    case "payment.initiated":
    case "payment.rejected":
      return event.aggregate_id;
    default:
      return event satisfies never; // nothing is forgotten
  }
}

export async function requests(): Promise<void> {
  const user: User = await api.request("GET /v1/users/{id}", { path: { id }, query: { min_version: 2 }, header: { Prefer: "wait=5" } });
  const page = await api.request("GET /v1/users", { query: { sort: "-name", limit: 10 } });
  const next: string | null = page.next_cursor;
  await api.request("GET /v1/views");
  const state = await api.request("POST /v1/payments/{payment_id}/process", {
    path: { payment_id: id },
    body: { customer_id: id, amount: { value: "100.00", currency: "USD" }, method: "credit_card" },
  });
  const status: "initiated" | "completed" | "failed" | "pending_review" | "rejected" = state.status;
  await api.request("POST /v1/payments/{payment_id}/approve", { path: { payment_id: id } });
  for await (const one of api.items("GET /v1/users", { query: { name: "A" } })) console.log(one.email, user, next, status);
  for await (const event of api.items("GET /v1/events")) narrows(event);

  // @ts-expect-error no such route
  await api.request("GET /v1/nothing");
  // @ts-expect-error the path needs an id
  await api.request("GET /v1/users/{id}");
  // @ts-expect-error no such order
  await api.request("GET /v1/users", { query: { sort: "email" } });
  // @ts-expect-error no such parameter
  await api.request("GET /v1/users", { query: { offset: 1 } });
  // @ts-expect-error this route takes none
  await api.request("GET /v1/views", { query: { limit: 1 } });
  // @ts-expect-error amounts are no numbers
  await api.request("POST /v1/payments/{payment_id}/process", { path: { payment_id: id }, body: { customer_id: id, amount: 100, method: "wallet" } });
}

export async function follows(signal: AbortSignal): Promise<void> {
  const row: User = await api.waitFor("users", { aggregate_id: id, version: 1 }, { seconds: 5, signal });
  for await (const event of api.events({ after: 0, name: "user.created", signal })) narrows(event);
  for await (const change of api.changes("users", { signal })) {
    if (change.type === "changed") console.log(change.row.email, row);
    else console.log(change.id);
  }
  // @ts-expect-error no such view
  await api.waitFor("orders", { aggregate_id: id, version: 1 });
  // @ts-expect-error no such event
  api.events({ name: "user.born" });
}

export function problems(error: unknown): number {
  if (isProblem(error, "version-conflict")) {
    const code: "version-conflict" = error.code;
    console.log(code);
    return error.problem.current_version ?? 0;
  }
  // @ts-expect-error no such code
  if (isProblem(error, "no-such-code")) return 0;
  return error instanceof ProblemError ? error.status : 0;
}
