package auth

import (
	"net/http"
	"net/netip"
	"testing"
	"time"
)

func TestTheClientIsTheLastHopThatIsNotTrusted(t *testing.T) {
	t.Parallel()
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	for _, c := range []struct {
		peer      string
		forwarded []string
		want      string
	}{
		{"192.0.2.1:5000", nil, "192.0.2.1"},
		{"192.0.2.1:5000", []string{"198.51.100.1"}, "192.0.2.1"}, // nobody vouches for it
		{"10.0.0.1:5000", nil, "10.0.0.1"},
		{"10.0.0.1:5000", []string{"198.51.100.1"}, "198.51.100.1"},
		{"10.0.0.1:5000", []string{"203.0.113.9, 198.51.100.1"}, "198.51.100.1"}, // the client wrote the first
		{"10.0.0.1:5000", []string{"203.0.113.9", "198.51.100.1 , 10.0.0.2"}, "198.51.100.1"},
		{"10.0.0.1:5000", []string{"10.0.0.3, 10.0.0.2"}, "10.0.0.3"},
		{"10.0.0.1:5000", []string{"198.51.100.1, nonsense, 10.0.0.2"}, "10.0.0.2"},
		{"[::ffff:10.0.0.1]:5000", []string{"198.51.100.1"}, "198.51.100.1"},
		{"[fd00::1%eth0]:5000", []string{"2001:db8:1:2:3:4:5:6"}, "2001:db8:1:2::"},
		{"[2001:db8::1]:5000", nil, "2001:db8::"},
		{"@", []string{"198.51.100.1"}, "invalid IP"},
	} {
		r := &http.Request{RemoteAddr: c.peer, Header: http.Header{"X-Forwarded-For": c.forwarded}}
		if got := clientAddress(r, trusted); got.String() != c.want {
			t.Errorf("%s %q: %s, want %s", c.peer, c.forwarded, got, c.want)
		}
	}
}

func TestWhatIsIdleIsForgottenAndWhatIsUsedStays(t *testing.T) {
	t.Parallel()
	now := time.Now()
	r := newRecent[int, int](time.Minute, 10)
	r.put(1, now, 11)
	r.put(2, now, 22)
	for range 5 {
		now = now.Add(time.Minute)
		if v, ok := r.find(1, now); !ok || v != 11 {
			t.Fatalf("the value in use is %d, %v", v, ok)
		}
	}
	if _, ok := r.find(2, now); ok {
		t.Error("an idle value is still there")
	}
	if n := len(r.young) + len(r.old); n > 2 {
		t.Errorf("%d values are kept", n)
	}
}

func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	now := time.Now()
	r := newRecent[int, int](time.Minute, 10)
	for i := range 1000 {
		r.findOrAdd(i, now, func() int { return i })
		if n := len(r.young) + len(r.old); n > 20 {
			t.Fatalf("%d values are kept", n)
		}
	}
	if v, ok := r.find(999, now); !ok || v != 999 {
		t.Error("the newest is gone")
	}
}

func TestAdminIncludesItsDomainAndWriteNotRead(t *testing.T) {
	t.Parallel()
	s := Scopes{"views:admin", "users:write"}
	for scope, want := range map[string]bool{
		"views:read": true, "views:write": true, "views:admin": true, "users:write": true,
		"users:read": false, "users:admin": false, "view:read": false, "": false,
	} {
		if s.Permit(scope) != want {
			t.Errorf("%q: %v", scope, !want)
		}
	}
}
