package config

import (
	"fmt"
	"strings"
	"testing"

	"onepg/internal/fault"
)

func TestAccessSettingsAreRead(t *testing.T) {
	t.Parallel()
	c, err := resolve(t, given{env: map[string]string{
		"APP_AUTH": "jwt", "APP_ADDR": "0.0.0.0:8080", "APP_JWT_KEYS": "https://id.example.com/keys",
		"APP_JWT_ISSUER": "https://id.example.com", "APP_JWT_AUDIENCE": "onepg",
		"APP_TRUSTED_PROXIES": "10.0.0.0/8, ::ffff:192.0.2.7,fd00::/8",
		"APP_CORS_ORIGINS":    "https://app.example.com,http://localhost:3000",
	}})
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(c.Access); got != "{100 200 [10.0.0.0/8 192.0.2.7/32 fd00::/8] [https://app.example.com http://localhost:3000]}" {
		t.Errorf("got %s", got)
	}
	if c.Tokens != (Tokens{"https://id.example.com/keys", "https://id.example.com", "onepg", "scope"}) {
		t.Errorf("got %+v", c.Tokens)
	}
}

func TestAccessSettingsThatOpenADoorAreRefused(t *testing.T) {
	t.Parallel()
	for key, bad := range map[string][]string{
		"APP_TRUSTED_PROXIES": {"everybody", "10.0.0.1/8", "10.0.0.0/33", "10.0.0.0/8,", ",", "fe80::1%eth0"},
		"APP_CORS_ORIGINS":    {"*", "null", "app.example.com", "https://app.example.com/", "https://App.example.com", "ftp://h", "https://"},
		"APP_JWT_KEYS":        {"http://id.example.com/keys", "ftp://id.example.com/keys", "http://localhost.example.com/keys"},
		"APP_RATE":            {"0", "-1", "many"},
	} {
		for _, text := range bad {
			_, err := resolve(t, given{env: map[string]string{key: text}})
			if !fault.Is(err, CodeInvalid) || !strings.Contains(err.Error(), key+" (environment) must be") {
				t.Errorf("%s=%s: %v", key, text, err)
			}
		}
	}
	for _, good := range []string{"http://127.0.0.1:9000/keys", "http://localhost/keys", "http://[::1]:9000/keys", "keys.json", "/etc/onepg/keys.json"} {
		if _, err := resolve(t, given{args: []string{"--jwt-keys=" + good}}); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
}

func TestTokensNeedTheirIssuerAndAudience(t *testing.T) {
	t.Parallel()
	_, err := resolve(t, given{args: []string{"--auth=jwt", "--jwt-issuer=https://id.example.com"}})
	if err == nil || !strings.Contains(err.Error(), "APP_JWT_KEYS (default) is empty") ||
		!strings.Contains(err.Error(), "APP_JWT_AUDIENCE (default) is empty") || strings.Contains(err.Error(), "APP_JWT_ISSUER") {
		t.Errorf("got %v", err)
	}
}
