// Command stop ends the PostgreSQL that the tests share and leave running.
package main

import (
	"context"
	"fmt"
	"os"

	"onepg/internal/postgres/pgtest" //nolint:depguard // It ends what the tests have started.
)

func main() {
	if err := pgtest.Stop(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
