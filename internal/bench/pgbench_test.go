package bench

import "testing"

func TestPgbenchsRateIsReadFromWhatItPrints(t *testing.T) {
	t.Parallel()
	rate, err := parsePgbench("latency average = 1.30 ms\ninitial connection time = 11.3 ms\ntps = 24650.123456 (without initial connection time)\n")
	if err != nil || rate != 24650.123456 {
		t.Errorf("got %v, %v", rate, err)
	}
	if _, err := parsePgbench("pgbench: error: connection failed"); err == nil {
		t.Error("a rate was found where there is none")
	}
}

func TestPgbenchGetsTheSocketInLibpqsForm(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"postgres://postgres@/bench?host=%2Frun%2Fpg%2F.s.PGSQL.5433&sslmode=disable": "postgres://postgres@/bench?host=%2Frun%2Fpg&port=5433&sslmode=disable",
		"postgres://postgres@/bench?host=%2Frun%2Fpg":                                 "postgres://postgres@/bench?host=%2Frun%2Fpg",
		"postgres://u:p@db.example:5432/bench?sslmode=require":                        "postgres://u:p@db.example:5432/bench?sslmode=require",
	} {
		if got, err := libpqURL(address); err != nil || got != want {
			t.Errorf("%s: got %s, %v", address, got, err)
		}
	}
}
