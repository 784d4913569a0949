// Command app is the event-sourced web API and its tools in one binary.
package main

import (
	"os"

	"onepg/cmd"
)

func main() { os.Exit(cmd.Execute()) }
