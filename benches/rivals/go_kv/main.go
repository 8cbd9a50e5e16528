// go_kv is what one would use in Go: go_kv redis|memcached --port P [--seconds 1]
// [--connections 64].
//
// A goroutine per connection asks for a 16-byte value, in a loop; neither library lets several
// callers share one. A fifth of the time is warm-up and not in the figures. Prints one line of
// JSON. There are as many threads running Go code as CPUs that the process may run on, as by
// default.
package main

import (
	"flag"
	"fmt"
	"os"
	"sort"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	entries      = 64
	warmupShare  = 5       // a fifth
	latenciesMax = 1 << 16 // that a goroutine remembers
)

func keyOf(number int) string   { return fmt.Sprintf("key:%012d", number%entries) }
func valueOf(number int) string { return fmt.Sprintf("value-%010d", number%entries) }

// A client is one connection of a library.
type client interface {
	set(key, value string) error
	get(key string) (string, error)
	close()
}

func fail(err error) {
	fmt.Fprintf(os.Stderr, "go_kv: %v\n", err)
	os.Exit(1)
}

func cpuNanoseconds() int64 {
	var usage syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return usage.Utime.Nano() + usage.Stime.Nano()
}

const (
	warmup = iota
	measured
	over
)

var (
	phase    atomic.Int32
	requests atomic.Int64
)

// ask returns the latencies of what was asked in the measured part.
func ask(one client, number int) []time.Duration {
	key, wanted := keyOf(number), valueOf(number)
	latencies := make([]time.Duration, 0, latenciesMax)
	then := time.Now()
	for {
		now := phase.Load()
		if now == over {
			return latencies
		}
		value, err := one.get(key)
		if err != nil {
			fail(err)
		}
		if value != wanted {
			fail(fmt.Errorf("the value of %s is '%s'", key, value))
		}
		ended := time.Now()
		if now == measured {
			requests.Add(1)
			if len(latencies) < latenciesMax {
				latencies = append(latencies, ended.Sub(then))
			}
		}
		then = ended
	}
}

func run(open func() (client, error), connections int, length time.Duration) {
	clients := make([]client, connections)
	for i := range clients {
		one, err := open()
		if err == nil {
			err = one.set(keyOf(i), valueOf(i))
		}
		if err != nil {
			fail(err)
		}
		clients[i] = one
	}
	latencies := make([][]time.Duration, connections)
	var all sync.WaitGroup
	for i := range clients {
		all.Add(1)
		go func(i int) {
			defer all.Done()
			latencies[i] = ask(clients[i], i)
		}(i)
	}
	time.Sleep(length / warmupShare)
	cpu, began := cpuNanoseconds(), time.Now()
	phase.Store(measured)
	time.Sleep(length - length/warmupShare)
	phase.Store(over)
	done, wall := requests.Load(), time.Since(began)
	cpu = cpuNanoseconds() - cpu
	all.Wait()
	for _, one := range clients {
		one.close()
	}
	report(done, wall, cpu, latencies)
}

func report(done int64, wall time.Duration, cpu int64, latencies [][]time.Duration) {
	var all []time.Duration
	for _, each := range latencies {
		all = append(all, each...)
	}
	if len(all) == 0 {
		fail(fmt.Errorf("nothing was answered"))
	}
	sort.Slice(all, func(a, b int) bool { return all[a] < all[b] })
	at := func(share float64) float64 {
		return float64(all[int(share*float64(len(all)-1))].Nanoseconds()) / 1000
	}
	fmt.Printf("{\"work\": \"%s\", \"requests\": %d, \"wall_ns\": %d, \"cpu_ns\": %d, "+
		"\"requests_per_second\": %.0f, \"p50_us\": %.1f, \"p99_us\": %.1f}\n",
		os.Args[1], done, wall.Nanoseconds(), cpu, float64(done)/wall.Seconds(), at(0.5), at(0.99))
}

func usage() {
	fmt.Fprintln(os.Stderr, "usage: go_kv redis|memcached --port P [--seconds 1] [--connections 64]")
	os.Exit(2)
}

func main() {
	if len(os.Args) < 2 {
		usage()
	}
	options := flag.NewFlagSet("go_kv", flag.ExitOnError)
	port := options.Int("port", 0, "of a server on 127.0.0.1")
	seconds := options.Float64("seconds", 1, "of the run")
	connections := options.Int("connections", entries, "and goroutines")
	options.Parse(os.Args[2:])
	if *port < 1 || *port > 65535 || *seconds <= 0 || *connections < 1 || options.NArg() > 0 {
		usage()
	}
	address := fmt.Sprintf("127.0.0.1:%d", *port)
	open := map[string]func() (client, error){
		"redis":     func() (client, error) { return openRedis(address) },
		"memcached": func() (client, error) { return openMemcached(address) },
	}[os.Args[1]]
	if open == nil {
		usage()
	}
	run(open, *connections, time.Duration(*seconds*float64(time.Second)))
}
