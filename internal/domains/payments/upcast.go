package payments

import (
	"encoding/json"
	"fmt"

	"github.com/bojanz/currency"
	"github.com/google/uuid"
)

// processedV1 is payment.processed as it was before there were currencies: the
// amount was a bare number of US dollars.
type processedV1 struct {
	ID     uuid.UUID   `json:"id"`
	Amount json.Number `json:"amount"`
}

// processedV2 lifts payment.processed from version 1 to 2. The number is taken
// from its text, so that no float comes in between; version 1 was written by
// programs that used one, which is why it is rounded to the cent (19.99 may be
// on disk as 19.990000000000002).
func processedV2(payload json.RawMessage) (json.RawMessage, error) {
	var v1 processedV1
	if err := json.Unmarshal(payload, &v1); err != nil {
		return nil, fmt.Errorf("payment.processed version 1: %w", err)
	}
	amount, err := currency.NewAmount(v1.Amount.String(), "USD")
	if err != nil {
		return nil, fmt.Errorf("payment.processed version 1: amount: %w", err)
	}
	return json.Marshal(Processed{PaymentID: v1.ID, Amount: moneyOf(amount)}) //nolint:wrapcheck // the registry says which event
}
