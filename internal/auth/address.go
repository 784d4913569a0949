package auth

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// ipv6Network is what one customer of an IPv6 provider has at least, and can
// draw any number of addresses from.
const ipv6Network = 64

// clientAddress is where a request comes from: the peer of its connection, or,
// if that is a trusted proxy, the last address in X-Forwarded-For that is none.
// What stands before it was written by the client and means nothing. IPv6
// addresses are cut to their network.
func clientAddress(r *http.Request, trusted []netip.Prefix) netip.Addr {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{} // not a network connection; all of them share a bucket
	}
	client := peer.Addr()
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for _, hop := range slices.Backward(hops) {
		if !isTrusted(client, trusted) {
			break
		}
		next, err := netip.ParseAddr(strings.TrimSpace(hop))
		if err != nil {
			break // the last hop that can be read is the one that vouched for it
		}
		client = next
	}
	return network(client)
}

func isTrusted(a netip.Addr, trusted []netip.Prefix) bool {
	a = a.Unmap().WithZone("")
	return slices.ContainsFunc(trusted, func(p netip.Prefix) bool { return p.Contains(a) })
}

func network(a netip.Addr) netip.Addr {
	a = a.Unmap().WithZone("")
	if !a.Is6() {
		return a
	}
	p, err := a.Prefix(ipv6Network)
	if err != nil {
		return a
	}
	return p.Addr()
}
