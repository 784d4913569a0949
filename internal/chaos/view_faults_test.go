//go:build fault

package chaos

func viewFaults() []scenario      { return nil }
func streamFaults() []scenario    { return nil }
func operationFaults() []scenario { return nil }
