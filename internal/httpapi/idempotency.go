package httpapi

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"onepg/internal/eventsourcing"
)

// Idempotent is embedded in the input of a command. It demands the header
// Idempotency-Key (the IETF draft of that name), with which a command may be
// sent again after its answer was lost.
type Idempotent struct {
	IdempotencyKey string `header:"Idempotency-Key" required:"true" minLength:"1" maxLength:"255" example:"8e03978e-40d5-43e8-bc93-6894a57f9324" doc:"Made by the client, new for every new request. The same key with the same body answers the same again and does nothing."`

	key string
}

// Resolve reads the key, in quotes as the draft has it or without as most
// clients send it; both are the same key.
func (i *Idempotent) Resolve(huma.Context) []error {
	i.key = i.IdempotencyKey
	if bare, ok := strings.CutPrefix(i.key, `"`); ok {
		if bare, ok = strings.CutSuffix(bare, `"`); ok {
			i.key = bare
		}
	}
	if i.IdempotencyKey != "" && (i.key == "" || strings.IndexFunc(i.key, func(c rune) bool { return c <= ' ' || c > '~' }) >= 0) {
		return []error{BadParameter("Idempotency-Key", "expected 1 to 255 visible ASCII characters, such as a UUID")}
	}
	return nil
}

// Request identifies the request by its key and what it asks for: the name of
// the operation and its content, which is anything that can be encoded as JSON.
// How a client formats the body makes no difference.
func (i *Idempotent) Request(operation string, content any) (eventsourcing.Request, error) {
	text, err := json.Marshal(content)
	if err != nil {
		return eventsourcing.Request{}, fmt.Errorf("encode the content of %s: %w", operation, err)
	}
	sum := sha256.Sum256(append([]byte(operation+"\n"), text...))
	return eventsourcing.Request{Key: i.key, Hash: base64.RawURLEncoding.EncodeToString(sum[:])}, nil
}
