package eventstore

// LoadSQL is the query of Load, for a look at its plan.
const LoadSQL = loadSQL
