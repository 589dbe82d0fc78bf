package kafkatest

import "net"

// Listen has talk answer each connection to an address, and closes it afterwards: a server that
// need not be a broker. The address may be "127.0.0.1:0", for a free port; Listen gives the one
// that it has. It ends with the test.
func Listen(t T, address string, talk func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatalf("listening: %v", err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				talk(conn)
			}()
		}
	}()
	return l.Addr().String()
}
