//go:build !unix

package postgres

import "net"

// alive cannot look into a socket here: a connection that died idle costs one
// failed request.
func alive(net.Conn) bool { return true }
