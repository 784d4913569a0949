package config

import (
	"log/slog"
	"strings"
	"testing"
)

func TestTheLogHasTheAskedShapeAndLevel(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		log  Log
		want string
	}{
		"json off a terminal": {Log{Level: slog.LevelInfo}, `"msg":"seen"`},
		"json":                {Log{Level: slog.LevelInfo, Format: FormatJSON}, `"msg":"seen"`},
		"text":                {Log{Level: slog.LevelInfo, Format: FormatText}, "msg=seen"},
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
