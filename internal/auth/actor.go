package auth

import "context"

// anonymous is the actor of everybody while access control is off.
const anonymous = "anonymous"

type actorKey struct{}

// Actor names whoever a request is made by, as it is recorded with the events:
// "key:<name>", "jwt:<sub>", or "anonymous" while access control is off. It
// comes from the credential alone; nothing else that a client sends can set it.
func Actor(ctx context.Context) string {
	if actor, ok := ctx.Value(actorKey{}).(string); ok {
		return actor
	}
	return anonymous
}

func withActor(ctx context.Context, actor string) context.Context {
	return context.WithValue(ctx, actorKey{}, actor)
}
