package eventstore

import "time"

// LoadSQL is the query of Load, for a look at its plan.
const LoadSQL = loadSQL

// AnswerWithin makes a log's appends give up earlier. It is called before the
// first of them.
func (l *Log) AnswerWithin(d time.Duration) { l.answerTimeout = d }
