package auth

import "context"

// anonymous is the actor of everybody while access control is off.
const anonymous = "anonymous"

type identityKey struct{}

// Actor names whoever a request is made by, as it is recorded with the events:
// "key:<name>", "jwt:<sub>", or "anonymous" while access control is off. It
// comes from the credential alone; nothing else that a client sends can set it.
func Actor(ctx context.Context) string {
	if who, ok := ctx.Value(identityKey{}).(Identity); ok {
		return who.Actor
	}
	return anonymous
}

// Permits reports whether whoever made a request that was admitted may use a
// scope as well. It is for pages that show only what their reader can do; what
// they lead to is guarded by its own scope. Outside an admitted request the
// answer is no.
func Permits(ctx context.Context, scope string) bool {
	who, ok := ctx.Value(identityKey{}).(Identity)
	return ok && (who.unbound || who.Scopes.Permit(scope))
}

func withIdentity(ctx context.Context, who Identity) context.Context {
	return context.WithValue(ctx, identityKey{}, who)
}
