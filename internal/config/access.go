package config

import (
	"errors"
	"net"
	"net/netip"
	"net/url"
	"strings"
)

// listOf reads values with commas between them. The empty text is an empty list.
func listOf[T any](field *[]T, parse func(text string) (T, error)) value {
	return &parsed[[]T]{field: field, parse: func(s string) ([]T, error) {
		var list []T
		for item := range strings.SplitSeq(s, ",") {
			if item = strings.TrimSpace(item); item == "" && s == "" {
				break
			}
			v, err := parse(item)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		return list, nil
	}}
}

// network reads 10.0.0.0/8, or 10.1.2.3 for that address alone.
func network(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		return netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil || p.Masked() != p {
		return netip.Prefix{}, errors.New("must be networks with commas between them, such as 10.0.0.0/8,192.0.2.7,fd00::/8")
	}
	return p, nil
}

// webOrigin reads an origin as browsers write it (RFC 6454). Why "*" is none: it
// would let every page in the world use a server that its reader's browser can
// reach and the page's author cannot.
func webOrigin(s string) (string, error) {
	u, err := url.Parse(s)
	if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" || s != strings.ToLower(u.Scheme+"://"+u.Host) {
		return "", errors.New("must be origins with commas between them, such as https://app.example.com,http://localhost:3000, " +
			"in lower case and without a path")
	}
	return s, nil
}

// keySet reads the place of a JSON Web Key Set. Why https: whoever can change
// the answer on its way can sign tokens.
func keySet(field *string) value {
	return &parsed[string]{field: field, parse: func(s string) (string, error) {
		scheme, _, isURL := strings.Cut(s, "://")
		if !isURL || scheme == "https" {
			return s, nil
		}
		u, err := url.Parse(s)
		if err != nil || scheme != "http" || !isLoopback(net.JoinHostPort(u.Hostname(), "80")) {
			return "", errors.New("must be a file's name or an https URL; http is for loopback addresses only")
		}
		return s, nil
	}}
}
