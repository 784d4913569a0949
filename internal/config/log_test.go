package config_test

import (
	"log/slog"
	"strings"
	"testing"

	"onepg/internal/config"
)

func TestTheLogHasTheAskedShapeAndLevel(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		log  config.Log
		want string
	}{
		"json off a terminal": {config.Log{Level: slog.LevelInfo}, `"msg":"seen"`},
		"json":                {config.Log{Level: slog.LevelInfo, Format: config.FormatJSON}, `"msg":"seen"`},
		"text":                {config.Log{Level: slog.LevelInfo, Format: config.FormatText}, "msg=seen"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out strings.Builder
			logger := test.log.Logger(&out)
			logger.Debug("hidden")
			logger.Info("seen")
			if got := out.String(); !strings.Contains(got, test.want) || strings.Contains(got, "hidden") {
				t.Errorf("logged %s, want %s and no debug line", got, test.want)
			}
		})
	}
}
