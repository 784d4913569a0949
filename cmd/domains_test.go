package cmd

import (
	"strings"
	"testing"

	"onepg/internal/aggregator/aggregatortest"
	"onepg/internal/domains"
	"onepg/internal/domains/users"
)

// Settings that a domain cannot work with are refused by whatever needs the domain.
func TestSettingsThatADomainCannotUseAreRefused(t *testing.T) {
	t.Parallel()
	w := aggregatortest.NewWorld(t, users.New(domains.Deps{}).Events)
	env := []string{"APP_DATABASE_URL=" + w.URL, "APP_PAYMENT_RATES=QQQ=1"}
	for _, args := range [][]string{{"views", "status"}, {"events", "list"}, {"verify"}, {"openapi"}} {
		if got := invoke(t, env, args...); got.code == exitDone || !strings.Contains(got.stderr, "QQQ") {
			t.Errorf("%q: %+v", args, got)
		}
	}
}
