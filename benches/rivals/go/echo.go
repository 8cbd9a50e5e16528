// go_echo is the echo server in Go: go_echo PORT, or under TLS go_echo PORT CERTIFICATE KEY.
//
// A goroutine per connection that reads what is there, up to 16 KiB, and writes it back; nothing
// is allocated per request, and buffers of connections that have ended are used again, so the
// collector has next to nothing to do. The loop is written out because io.Copy between two TCP
// connections is splice through a pipe, which is slower for short messages. Accepted connections
// have TCP_NODELAY, which net sets by itself, but no keep-alive, which it would set with two more
// system calls each. There are as many threads running Go code as CPUs that the process may run
// on, as by default. crypto/tls is as it comes, too; it shakes hands with the first read.
package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"
)

const bufferBytes = 16 * 1024

var buffers = sync.Pool{New: func() any { return new([bufferBytes]byte) }}

func echo(conn net.Conn) {
	defer conn.Close()
	pooled := buffers.Get().(*[bufferBytes]byte)
	defer buffers.Put(pooled)
	buffer := pooled[:]
	for {
		n, err := conn.Read(buffer)
		if err != nil {
			return
		}
		if _, err := conn.Write(buffer[:n]); err != nil {
			return
		}
	}
}

func serve(listener net.Listener) error {
	for {
		conn, err := listener.Accept()
		switch {
		case err == nil:
			go echo(conn)
		case errors.Is(err, net.ErrClosed):
			return err
		default: // passes once descriptors are free again
			time.Sleep(10 * time.Millisecond)
		}
	}
}

func secured(listener net.Listener, certificate, key string) (net.Listener, error) {
	pair, err := tls.LoadX509KeyPair(certificate, key)
	if err != nil {
		return nil, err
	}
	return tls.NewListener(listener, &tls.Config{Certificates: []tls.Certificate{pair}}), nil
}

// A connection is a descriptor, and the soft limit is often 1024.
func raiseDescriptorLimit() {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) == nil {
		limit.Cur = limit.Max
		syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit)
	}
}

func main() {
	port := 0
	if len(os.Args) == 2 || len(os.Args) == 4 {
		port, _ = strconv.Atoi(os.Args[1])
	}
	if port < 1 || port > 65535 {
		fmt.Fprintln(os.Stderr, "usage: go_echo PORT [CERTIFICATE KEY]")
		os.Exit(2)
	}
	raiseDescriptorLimit()
	// net listens with SO_REUSEADDR and the longest backlog the kernel allows.
	config := net.ListenConfig{KeepAlive: -1}
	address := fmt.Sprintf("127.0.0.1:%d", port)
	listener, err := config.Listen(context.Background(), "tcp4", address)
	if err == nil && len(os.Args) == 4 {
		listener, err = secured(listener, os.Args[2], os.Args[3])
	}
	if err == nil {
		err = serve(listener)
	}
	fmt.Fprintf(os.Stderr, "go_echo: %v\n", err)
	os.Exit(1)
}
